"""The errors that a person can act on: the command line prints them on one line and exits with status 2.

Everything else that goes wrong is a failure while running and ends with status 1.
"""

import difflib
from collections.abc import Iterable, Sequence

from junlearn.text.synonyms import meant

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DamagedError",
    "DataError",
    "DivergedError",
    "JunlearnError",
    "short",
    "unknown",
]

CUTOFF = 0.65
"""How alike two spellings must be (`difflib`) for one to be taken for the other."""
SHOWN = 72
"""Characters of a wrong value in a message."""
LISTED = 30
"""Names that a message lists; of more it says where they are."""
LISTS = {
    "column": "the column '*' shows all there are",
    "method": "python -m junlearn.main list methods has them",
    "option": "python -m junlearn.main --help all has them",
    "topic": "python -m junlearn.main list has the names",
}


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


def unknown(
    kind: str, name: object, known: Iterable[str], elsewhere: Iterable[str] = ()
) -> ConfigError:
    """The error for a name that does not exist: what it can have meant, or else what there is.

    Asked in this order: what the field calls by that word, among `known` and then `elsewhere` (names of other places);
    the spelling, among `known` alone. Of dotted names the last parts are compared, among those with the same beginning
    where there are any.
    """
    names = sorted(set(known))
    near = _synonyms(kind, str(name), names) or _synonyms(kind, str(name), sorted(elsewhere))
    if not near:
        near = _spelt_alike(str(name), names)
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    elif len(names) > LISTED:
        hint = LISTS.get(kind, f"there are {len(names)}")
    else:
        hint = f"known: {', '.join(names)}" if names else "there are none"
    return ConfigError(f"unknown {kind} {short(name)}; {hint}")


def short(value: object) -> str:
    """A value as it is written in Python, cut to a length that fits into a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, tables without an end
        text = f"a {type(value).__name__} too long to show"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 12]}...{text[-8:]}"


def _synonyms(kind: str, name: str, names: Sequence[str]) -> list[str]:
    """Those of `names` that the field calls by the last part of `name`; those that begin alike, where there are any."""
    beginning, last = _parts(name)
    for word in meant(kind, last):
        ends = (word, f"{word}.name")
        found = [n for n in names if _plain(n) in ends or _plain(n).endswith(f".{ends[0]}")]
        alike = [n for n in found if _parts(n)[0] == beginning]
        if alike:
            return alike[:1]
        if found:
            # The recipe of the original network comes first: it is what all experiments have.
            return sorted(found, key=lambda n: "method." in n)[:2]
    return []


def _spelt_alike(name: str, names: Sequence[str]) -> list[str]:
    beginning, last = _parts(name)
    siblings = {_parts(n)[1]: n for n in names if _parts(n)[0] == beginning}
    if beginning and siblings:
        close = difflib.get_close_matches(last, siblings, n=1, cutoff=CUTOFF)
        if close or len(siblings) == 1:
            return [siblings[part] for part in close or siblings]
        return []
    plain = {_plain(n): n for n in names}
    return [plain[n] for n in difflib.get_close_matches(_plain(name), plain, n=1, cutoff=CUTOFF)]


def _plain(name: str) -> str:
    """A name without the dashes of an option."""
    return name.lstrip("-").replace("-", "_")


def _parts(name: str) -> tuple[str, str]:
    """What stands before the last dot, and what behind it."""
    beginning, _, last = _plain(name).rpartition(".")
    return beginning, last
