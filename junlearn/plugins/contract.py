"""What a thing of each kind must have, and the form in which the package keeps it."""

import dataclasses
import inspect
from typing import Any

from junlearn.engine.inputs.arrays import kind_of
from junlearn.errors import ConfigError
from junlearn.plugins.spaces import checked_space
from junlearn.types import Component

__all__ = ["FIXED", "adapted", "kind_of_module", "summary_of"]

FIXED = ("name", "file", "module")
"""Keys of a section that say which thing it is about: no field of a Config can be called so."""

PARTS = {
    "method": ("Config", "make", "NEEDS"),
    "model": ("Config", "make"),
    "dataset": ("Config", "make"),
    "scenario": ("Config", "make"),
}
"""What a module, or any object, must have to be a thing of the kind."""

ARGUMENTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "method": (2, ()),
    "model": (3, ()),
    "dataset": (1, ("cache_dir", "progress")),
    "scenario": (3, ()),
    "metric": (1, ()),
}
"""With how many arguments by place, and which by name, the function of a thing is called."""

CALLS = {
    "method": "make(config, model) -> Method",
    "model": "make(config, num_classes, input_shape) -> Model",
    "dataset": "make(config, *, cache_dir=None, progress=None) -> Dataset",
    "scenario": "make(config, dataset, key) -> Split",
    "metric": "metric(context) -> dict of numbers by name",
}


def adapted(kind: str, thing: Any, what: str) -> Any:
    """`thing` in the form of the registries: a method as it is, a metric as a function, others as a Component.

    A module, or any other object, can be each of them; a method can have `SPACE` beside, what a search may try (see
    `junlearn.types.Space`), and a scenario can have `MANIPULATES`, `REQUEST`, `SCORING` and
    `SEQUENCE` beside (see `junlearn.types.Component`). Raises ConfigError, which begins with `what`, for what is
    missing.
    """
    if kind == "metric":
        return _metric(thing, what)
    missing = [part for part in PARTS[kind] if not hasattr(thing, part)]
    if missing:
        raise ConfigError(
            f"{what} is no {kind}: it has no {' and no '.join(missing)} (a {kind} has "
            f"{', '.join(part for part in PARTS[kind] if part != 'make')} and {CALLS[kind]})"
        )
    _check_config(kind, thing.Config, what)
    scoring = sequence = None
    if kind == "scenario":
        scoring, sequence = (
            getattr(thing, name if isinstance(thing, Component) else name.upper(), None)
            for name in ("scoring", "sequence")
        )
    places, names = ARGUMENTS[kind]
    call = CALLS[kind]
    if scoring is not None:
        places, call = places + 1, "make(config, dataset, key, scores) -> Split"
        if not _takes(scoring, 1, ()):
            raise ConfigError(f"{what} is no {kind}: its SCORING is not SCORING(config) -> Scoring")
        if getattr(thing, "MANIPULATES", False):
            raise ConfigError(f"{what} is no {kind}: with SCORING it cannot manipulate the data")
    if sequence is not None:
        call = "make(config, dataset, key) -> list of Splits"
        if not _takes(sequence, 1, ()):
            raise ConfigError(f"{what} is no {kind}: its SEQUENCE is not SEQUENCE(config) -> int")
        if scoring is not None or getattr(thing, "MANIPULATES", False):
            raise ConfigError(
                f"{what} is no {kind}: with SEQUENCE it has no SCORING and no MANIPULATES"
            )
    if not _takes(thing.make, places, names):
        raise ConfigError(f"{what} is no {kind}: its make is not {call}")
    if kind == "method":
        _check_needs(thing.NEEDS, what)
        checked_space(getattr(thing, "SPACE", {}), thing.Config, what)
        return thing
    if isinstance(thing, Component):
        return thing
    return Component(
        summary_of(thing),
        thing.Config,
        thing.make,
        manipulates=bool(getattr(thing, "MANIPULATES", False)),
        request=tuple(getattr(thing, "REQUEST", ())),
        scoring=scoring,
        sequence=sequence,
    )


def kind_of_module(module: Any) -> str | None:
    """The one kind that a module without tables can be of, told by what it has; None: it is nothing."""
    if hasattr(module, "NEEDS"):
        return "method"
    return "metric" if callable(getattr(module, "metric", None)) else None


def summary_of(thing: Any) -> str:
    """The first line of what is written about a thing; of one that says nothing, its name."""
    told = getattr(thing, "summary", None) or inspect.cleandoc(thing.__doc__ or "")
    return told.splitlines()[0] if told else str(getattr(thing, "__name__", kind_of(thing)))


def _metric(thing: Any, what: str) -> Any:
    found = getattr(thing, "metric", thing)
    if _takes(found, *ARGUMENTS["metric"]) and not isinstance(found, type):
        return found
    raise ConfigError(f"{what} is no metric: {CALLS['metric']} is wanted")


def _takes(function: Any, places: int, names: tuple[str, ...]) -> bool:
    """Whether a function can be called with so many arguments by place and with these by name."""
    try:
        inspect.signature(function).bind(*range(places), **dict.fromkeys(names))
    except (TypeError, ValueError):
        return False
    return True


def _check_config(kind: str, config: Any, what: str) -> None:
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise ConfigError(f"{what} is no {kind}: its Config is no dataclass")
    if not config.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ConfigError(
            f"{what}: its Config has to be frozen, @dataclass(frozen=True, kw_only=True)"
        )
    for field in dataclasses.fields(config):
        nothing = dataclasses.MISSING
        if field.name in FIXED:
            raise ConfigError(
                f"{what}: the field {field.name!r} of its Config has a name that a section keeps for itself"
            )
        if field.default is nothing and field.default_factory is nothing:
            raise ConfigError(f"{what}: the field {field.name!r} of its Config has no default")


def _check_needs(needs: Any, what: str) -> None:
    if isinstance(needs, str) or not all(isinstance(need, str) for need in needs):
        raise ConfigError(f"{what}: NEEDS is a set of names such as 'forget.x', got {needs!r}")
