"""The section `[search]` of a configuration: which settings of its methods are tried, and by what they are judged.

    [search]
    trials = 20

    [search.method.ssd]                       what is tried of the method with the label ssd, and nothing else of it
    alpha = {low = 1.0, high = 100.0, log = true}
    dampening = [0.1, 1.0]

A label without a table of its own has the space that its method suggests (`SPACE`); an empty table keeps a method as it
is. Every field that is not searched has the value of `[method.LABEL]`, or its default.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_type_hints

from msgspec import Meta

from junlearn.errors import ConfigError, short, unknown
from junlearn.experiment.conversion import convert
from junlearn.fields import Count, Positive, Seed
from junlearn.metrics.directions import value_of
from junlearn.plugins import registry
from junlearn.types import Choice, Range, Space

__all__ = ["GAP", "HELD_OUT", "ORACLE", "Searching", "check", "space_of"]

GAP, HELD_OUT, ORACLE = "validation_gap", "held_out", "oracle"
"""Objectives with names of their own; see `junlearn/search/README.md`."""
EXAMPLES = (GAP, HELD_OUT, ORACLE, "developer", "accuracy/retain_test", "aus", "tow")


@dataclass(frozen=True, kw_only=True)
class Searching:
    """How settings of methods are searched for; see `junlearn/search/README.md`."""

    objective: str = GAP
    """What is optimised. validation_gap: the distance to the retrained network, on data that is held out. held_out:
    without a retrained network. oracle: the gap on the real test set. Else a metric, as `--select` of a sweep reads it:
    aus, or mia/entropy:min where the direction is not known."""
    trials: Count = 20
    """Settings of each method that are tried."""
    seeds: tuple[Seed, ...] | None = None
    """Each setting is judged by the mean over these seeds; None: the experiment's seed alone."""
    seconds: Positive | None = None
    """Budget of the whole search: no trial begins when those of all methods have taken so long together. None: none."""
    pruning: bool = True
    """Stop a trial between two seeds whose mean so far is worse than the median of the others after as many."""
    sampler: Literal["tpe", "random"] = "tpe"
    """tpe: settings near those that were good; random: anywhere in the space."""
    seed: Seed = 0
    """Of the sampler."""
    held_out: Annotated[float, Meta(gt=0, lt=1)] | None = None
    """Share of the training set that takes the place of the test set in the trials; None: that of the experiment, or a
    tenth where it has none."""
    method: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Label -> field -> a list of values, or a table with `low`, `high` and, if wanted, `log` or `step`."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A table that stands for a `Range`."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None


def space_of(experiment: Any, label: str) -> Space | None:
    """What is tried of the method with this label: its table in the section, or what it suggests.

    Empty where an empty table says that nothing is; None where there is neither.
    """
    given = experiment.search.method.get(label)
    if given is None:
        section = type(getattr(experiment.method, label))
        return registry.space_of(section.PRESET or section.THING) or None
    kinds = _kinds(experiment, label)
    return {
        name: _axis(f"search.method.{label}.{name}", part, kinds.get(name))
        for name, part in given.items()
    }


def check(experiment: Any) -> None:
    """Raise ConfigError, in one line, for a section that no search can be made with."""
    searching: Searching = experiment.search
    name, colon, _ = searching.objective.partition(":")
    if colon and name in (GAP, HELD_OUT, ORACLE):
        raise ConfigError(
            f"search.objective {searching.objective}: {name} has a direction of its own, the less the better: leave "
            "out what is behind its name"
        )
    if name not in EXAMPLES[:4] and name != "corrective/oracle" and value_of(name) is None:
        raise unknown("objective", searching.objective, EXAMPLES)
    seeds = searching.seeds
    if seeds is not None and (not seeds or len(set(seeds)) < len(seeds)):
        raise ConfigError(f"search.seeds: expected different seeds, got {short(list(seeds))}")
    for label, table in searching.method.items():
        if label not in experiment.methods:
            raise ConfigError(
                f"search.method.{label} is there but {label} is not in methods [{', '.join(experiment.methods)}]"
            )
        section = getattr(experiment.method, label)
        known = [f.name for f in dataclasses.fields(type(section).THING.Config)]
        for name in table:
            if name not in known:
                where = f"search.method.{label}"
                raise unknown("field", f"{where}.{name}", [f"{where}.{one}" for one in known])
        for name, axis in (space_of(experiment, label) or {}).items():
            values = axis.values if isinstance(axis, Choice) else (axis.low, axis.high)
            for value in values:
                _accepted(section, label, name, value)


def _accepted(section: Any, label: str, name: str, value: Any) -> None:
    """Raise ConfigError for a value that the field refuses."""
    kind = get_type_hints(type(section), include_extras=True)[name]
    alone = dataclasses.make_dataclass("Field", [(name, kind)], kw_only=True)
    convert(alone, {name: value}, f"search.method.{label}")


def _kinds(experiment: Any, label: str) -> dict[str, Any]:
    """The type of every field of the method with this label."""
    section = getattr(experiment.method, label, None)
    return {} if section is None else get_type_hints(type(section))


def _takes_fractions(kind: Any) -> bool:
    return kind is float or float in get_args(kind)


def _axis(where: str, part: Any, kind: Any) -> Range | Choice:
    """What a list or a table stands for; `kind`: the type of the field."""
    if isinstance(part, list | tuple):
        if not part:
            raise ConfigError(f"{where}: expected at least one value, got []")
        marks = [json.dumps(value, sort_keys=True, default=str) for value in part]
        if len(set(marks)) < len(marks):
            raise ConfigError(f"{where}: a value stands twice in {short(list(part))}")
        return Choice(tuple(part))
    if not isinstance(part, Mapping):
        raise ConfigError(
            f"{where}: expected a list of values, or a table such as {{low = 1.0, high = 10.0}}, got {short(part)}"
        )
    given = convert(Interval, part, where)
    if given.low > given.high:
        raise ConfigError(f"{where}: low {given.low} is above high {given.high}")
    if given.log and given.low <= 0:
        raise ConfigError(f"{where}: with log = true low has to be above 0, got {given.low}")
    if given.step is not None and (given.log or given.step <= 0):
        why = "a step and log = true exclude each other" if given.log else "step has to be above 0"
        raise ConfigError(f"{where}: {why}")
    if isinstance(given.step, float) or (given.step is None and _takes_fractions(kind)):
        # Whole ends would stand for whole numbers alone.
        return Range(float(given.low), float(given.high), given.log, given.step)
    return Range(given.low, given.high, given.log, given.step)
