"""The errors that a person can act on: the command line prints them on one line and exits with status 2.

Everything else that goes wrong is a failure while running and ends with status 1.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DamagedError",
    "DataError",
    "DivergedError",
    "JunlearnError",
    "unknown",
]


class JunlearnError(Exception):
    """Something that the person who started the run can put right."""


class ConfigError(JunlearnError, ValueError):
    """A key, name or value in the configuration that is not allowed."""


class DataError(JunlearnError):
    """A dataset that is missing, truncated or not what it says."""


class CheckpointError(JunlearnError):
    """A checkpoint that cannot be read, belongs to another configuration or cannot be written."""


class DamagedError(JunlearnError):
    """A file of the project's own that is not as it was written."""


class DivergedError(RuntimeError):
    """A metric or a network became NaN or infinite: names the stage and the step; the last good checkpoint stays."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """The error for a name that does not exist, naming the nearest one that does."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return ConfigError(f"unknown {kind} {str(name)!r}; {hint}")
