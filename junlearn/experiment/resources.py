"""The section `[engine]` of a sweep: what a point of it needs of the machine that carries it out.

It is no part of an experiment: records and networks are the same whatever it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from junlearn.errors import ConfigError
from junlearn.experiment.conversion import convert
from junlearn.experiment.sections import table_of

__all__ = ["Resources", "resources_of"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one point has for itself."""

    gpus: Annotated[float, Meta(ge=0, le=1024)] | None = None
    """A part of one GPU (0.5: two points share one), or whole ones. None: one GPU where the cluster has any."""
    cpus: Annotated[int, Meta(ge=1, le=4096)] = 1


def resources_of(table: Mapping[str, Any]) -> Resources:
    """What the section `[engine]` of a configuration says, defaults where there is none. Raises ConfigError."""
    found: Resources = convert(Resources, table_of("engine", table.get("engine", {})), "engine")
    if found.gpus is not None and found.gpus > 1 and not found.gpus.is_integer():
        raise ConfigError(
            f"engine.gpus: expected a part of one GPU or whole ones, got {found.gpus:g}"
        )
    return found
