"""A grid of experiments: which points it has, which of them are done, and which setting of a method is the best.

    [sweep]                                   every combination of these, each an experiment of its own
    "scenario.manipulated" = [100, 500]
    "scenario.share" = [0.1, 0.5, 1.0]
    seed = [0, 1, 2]

    [sweep.method.ssd]                        at each of them the method LABEL with every combination of these
    alpha = [1, 10, 100]
    dampening = [0.5, 1]

The rest of the file is the experiment that all of them begin from. A method's section may be a list of tables
(`[[sweep.method.ssd]]`), a grid each.
"""

import copy
import itertools
import re
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from junlearn import config, records
from junlearn.errors import ConfigError, unknown
from junlearn.problem import PLACES
from junlearn.records import Record
from junlearn.scenarios import SCENARIOS

__all__ = ["Point", "Rule", "Trial", "best", "check", "done", "expand", "originals", "trials"]

Rule = Literal["oracle", "developer"]
"""By which a method's setting is chosen: with the test set, or with what whoever repairs the network has."""

ROLES = ("original", "retrain")


class Point(NamedTuple):
    """One experiment of a sweep."""

    axes: dict[str, Any]
    """Its value on every axis."""
    experiment: Any
    settings: dict[str, tuple[str, dict[str, Any]]]
    """Label of a method in the experiment -> its label in the sweep, and what the grid sets."""

    def title(self) -> str:
        """Its place on the grid in words."""
        return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in self.axes.items())

    def directory(self, workdir: Path) -> Path:
        """Where its records are."""
        name = re.sub(r"[^\w.-]+", "-", self.title().replace(", ", "_"))
        return workdir / "points" / (name.strip("-") or "only")


class Trial(NamedTuple):
    """A record of a sweep, and where it stands in it."""

    axes: dict[str, Any]
    method: str
    """Label in the sweep; the role of the original and of the retrained network."""
    settings: dict[str, Any]
    record: Record


def expand(table: Mapping[str, Any]) -> list[Point]:
    """All points of the sweep in `table`, the last axis running fastest. Raises ConfigError for what is not allowed."""
    base = copy.deepcopy(dict(table))
    section = base.pop("sweep", None)
    if not isinstance(section, Mapping):
        raise ConfigError("a sweep needs a table [sweep]: the axes of the grid and their values")
    grids = section.get("method", {})
    axes = {key: values for key, values in section.items() if key != "method"}
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"sweep.{key}: expected a list of values, got {values!r}")
    labels = base.get("methods", [])
    for label in grids:
        if label not in labels:
            raise unknown("method of the sweep", label, labels)
    sections, settings = _methods(labels, base.get("method", {}), grids)
    points = []
    for values in itertools.product(*axes.values()):
        chosen = copy.deepcopy(base) | {"methods": list(sections), "method": sections}
        for key, value in zip(axes, values, strict=True):
            _assign(chosen, key, value)
        place = dict(zip(axes, values, strict=True))
        points.append(Point(place, config.parse(chosen), settings))
    return points


def _methods(
    labels: Sequence[str], given: Mapping[str, Any], grids: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[str, dict[str, Any]]]]:
    """One section a setting, and what each of them is."""
    sections: dict[str, Any] = {}
    settings: dict[str, tuple[str, dict[str, Any]]] = {}
    for label in labels:
        section = {"name": label} | given.get(label, {})
        choices = list(_combinations(label, grids.get(label, {})))
        digits = len(str(len(choices)))
        for number, choice in enumerate(choices, start=1):
            own = label if len(choices) == 1 else f"{label}_{number:0{digits}}"
            sections[own] = section | choice
            settings[own] = (label, choice)
    return sections, settings


def _combinations(label: str, grid: Any) -> Iterator[dict[str, Any]]:
    for part in grid if isinstance(grid, list) else [grid]:
        for field, values in part.items():
            if not isinstance(values, list) or not values:
                raise ConfigError(
                    f"sweep.method.{label}.{field}: expected a list of values, got {values!r}"
                )
        for values in itertools.product(*part.values()):
            yield dict(zip(part, values, strict=True))


def _assign(table: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"sweep.{key}: {name} is not a table")
    table[last] = value


def originals(points: Sequence[Point]) -> int:
    """How many original networks the points share among them."""
    return len({config.digest(_of_original(point.experiment)) for point in points})


def _of_original(experiment: Any) -> dict[str, Any]:
    """What the original network depends on, as far as the configuration says."""
    scenario = SCENARIOS[experiment.scenario.name]
    manipulation = config.plain(experiment.scenario) if scenario.manipulates else {}
    seeds = config.plain(experiment.seeds)
    return {
        "data": [config.plain(experiment.dataset), experiment.held_out, experiment.validation],
        "network": [config.plain(part) for part in (experiment.model, experiment.train)],
        "precision": [experiment.precision, experiment.matmul_precision],
        "seeds": {n: experiment.seed if s is None else s for n, s in seeds.items()},
        "manipulation": {k: v for k, v in manipulation.items() if k not in scenario.request},
    }


def done(point: Point, workdir: Path, remark: Callable[[str], None]) -> int:
    """How many networks of the point have a record already; `remark` is told of records that are damaged."""
    experiment = config.plain(point.experiment)
    wanted = [
        *(role for role in ROLES if role == "original" or point.experiment.reference),
        *point.settings,
    ]
    found = 0
    log = point.directory(workdir) / "records.jsonl"
    known = {record["method"]: record for record in records.read(log, remark)}
    for label in wanted:
        record = known.get(label)
        if record is None:
            continue
        section = {label: experiment["method"][label]} if label in point.settings else {}
        expected = experiment | {"methods": list(section), "method": section}
        found += _essence(record["config"]) == _essence(expected)
    return found


def _essence(experiment: dict[str, Any]) -> str:
    """What names an experiment, but for what changes no number."""
    dataset = {k: v for k, v in experiment["dataset"].items() if k not in PLACES}
    # A field without a value may be younger than a record that does not have it.
    numbers = {k: v for k, v in experiment.items() if k != "loop" and v is not None}
    return config.digest(numbers | {"dataset": dataset})


def trials(point: Point, found: Sequence[Record]) -> list[Trial]:
    """The records of a point, each with its place in the sweep."""
    placed = []
    for record in found:
        method, settings = point.settings.get(record["method"], (record["method"], {}))
        placed.append(Trial(point.axes, method, settings, record))
    return placed


def check(points: Sequence[Point], rule: str | None, over: Collection[str]) -> None:
    """Raise ConfigError for a rule of selection or an axis that does not exist."""
    if rule is not None and rule not in get_args(Rule):
        raise unknown("rule of selection", rule, get_args(Rule))
    for axis in over:
        if axis != "seed" and axis not in points[0].axes:
            raise unknown("axis", axis, points[0].axes)


def best(
    found: Sequence[Trial], rule: Rule | None, over: Collection[str] = ("seed",)
) -> list[list[Trial]]:
    """The runs of each setting along the axes `over`, in the order of the sweep; with a rule only of the best setting.

    The best setting of a method is that with the largest mean of the score `corrective/oracle` or
    `corrective/developer`, at each place on the other axes by itself. Raises ConfigError where a choice is to be made
    and the score is not there.
    """
    cells: dict[str, dict[str, list[Trial]]] = {}
    for trial in found:
        place = {key: value for key, value in trial.axes.items() if key not in over}
        cell = cells.setdefault(config.digest({"axes": place, "method": trial.method}), {})
        cell.setdefault(config.digest(trial.settings), []).append(trial)
    chosen = []
    for cell in cells.values():
        runs = list(cell.values())
        chosen += runs if rule is None or len(runs) == 1 else [max(runs, key=_score(rule))]
    return chosen


def _score(rule: Rule) -> Callable[[Sequence[Trial]], float]:
    name = f"corrective/{rule}"

    def mean(runs: Sequence[Trial]) -> float:
        values = [trial.record["metrics"].get(name) for trial in runs]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            needed = " (it needs validation = ... in the experiment)" if rule == "developer" else ""
            raise ConfigError(
                f"{runs[0].method}: nothing to choose by, the records have no {name}{needed}"
            )
        return statistics.fmean(known)

    return mean
