"""Plug-ins of installed packages: their entry points, in the groups `junlearn.methods`, `junlearn.models` and so on."""

import logging
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from junlearn.errors import ConfigError
from junlearn.plugins.contract import adapted

__all__ = ["load", "offered", "origin"]

log = logging.getLogger(__name__)


@cache
def offered(kind: str) -> dict[str, EntryPoint]:
    """The entry points of a kind by name, nothing of them imported yet; of two of one name the first one counts."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=f"junlearn.{kind}s"), key=lambda p: (p.name, p.value)):
        if point.name in found and point.value != found[point.name].value:
            log.warning(
                "two packages offer the %s %s: %s is used, %s is not",
                *(kind, point.name, origin(found[point.name]), origin(point)),
            )
        found.setdefault(point.name, point)
    return found


def origin(point: EntryPoint) -> str:
    """The package and the version that an entry point comes from."""
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


def load(kind: str, point: EntryPoint) -> object:
    """The thing behind an entry point. Raises ConfigError, which names the package and what is wrong."""
    what = f"the {kind} {point.name} of {origin(point)}"
    try:
        thing = point.load()
    except (Exception, SystemExit) as error:
        told = " ".join(str(error).split())
        raise ConfigError(f"{what} cannot be imported: {type(error).__name__}: {told}") from error
    return adapted(kind, thing, what)
