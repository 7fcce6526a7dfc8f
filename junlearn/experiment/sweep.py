"""A grid of experiments: which points it has, which of them are done, and which setting of a method is the best.

    [sweep]                                   every combination of these, each an experiment of its own
    "scenario.manipulated" = [100, 500]
    "scenario.share" = [0.1, 0.5, 1.0]
    seed = [0, 1, 2]

    [sweep.method.ssd]                        at each of them the method LABEL with every combination of these
    alpha = [1, 10, 100]
    dampening = [0.5, 1]

The rest of the file is the experiment that all of them begin from. A method's section may be a list of tables
(`[[sweep.method.ssd]]`), a grid each. An axis may be a section, its values tables: where they name another component
than the file does, or none is named there, they take its place, and else they change its fields.

    scenario = [{name = "class", classes = [0]}, {name = "random", fraction = 0.1}]
"""

import copy
import itertools
import math
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.errors import ConfigError, short, unknown
from junlearn.experiment import records, references, ruling, schema
from junlearn.experiment.folders import folders, words
from junlearn.experiment.identity import original_settings, without_location
from junlearn.experiment.records import Record, number_of
from junlearn.experiment.resolved import Resolved
from junlearn.experiment.schema import thing_of

__all__ = ["Point", "Trial", "best", "by_request", "check", "done", "expand", "originals", "trials"]

ROLES = ("original", "retrain")
REQUEST = "request"
"""The axis of the requests of a stream."""
MOST = 100_000
"""Networks in one sweep: more are a mistake in an axis."""


class Point(NamedTuple):
    """One experiment of a sweep."""

    axes: dict[str, Any]
    """Its value on every axis."""
    experiment: Resolved
    settings: dict[str, tuple[str, dict[str, Any]]]
    """Label of a method in the experiment -> its label in the sweep, and what the grid sets."""
    folder: str = "only"
    """Name of its directory, its own among the points of the sweep."""

    @property
    def requests(self) -> int:
        """How many requests every network is judged after."""
        scenario = self.experiment.scenario
        sequence = thing_of(scenario).sequence
        return 1 if sequence is None else sequence(scenario)

    @property
    def networks(self) -> list[str]:
        """The labels of all networks that are judged, after one request."""
        roles = [role for role in ROLES if role == "original" or self.experiment.reference]
        return [*roles, *self.settings]

    def title(self) -> str:
        """Its place on the grid in words."""
        return words(self.axes)

    def directory(self, workdir: Path) -> Path:
        """Where its records are."""
        return workdir / "points" / self.folder


class Trial(NamedTuple):
    """A record of a sweep, and where it stands in it."""

    axes: dict[str, Any]
    method: str
    """Label in the sweep; the role of the original and of the retrained network."""
    settings: dict[str, Any]
    record: Record


def expand(table: Mapping[str, Any]) -> list[Point]:
    """All points of the sweep in `table`, the last axis running fastest. Raises ConfigError for what is not allowed."""
    schema.sound(table)
    base = copy.deepcopy(dict(table))
    section = base.pop("sweep", None)
    # What a point needs of a machine (`junlearn.experiment.resources`) is no part of its experiment.
    base.pop("engine", None)
    if not isinstance(section, Mapping):
        raise ConfigError("a sweep needs a table [sweep]: the axes of the grid and their values")
    grids = schema.table_of("sweep.method", section.get("method", {}))
    axes = {key: _values(f"sweep.{key}", v) for key, v in section.items() if key != "method"}
    schema.take_plugins(base)
    labels = schema.labels_of(base)
    for label in grids:
        if label not in labels:
            raise unknown("method of the sweep", label, labels)
    given = schema.table_of("method", base.get("method", {}))
    sections, settings = _methods(labels, given, grids)
    count = len(sections) * math.prod(len(values) for values in axes.values())
    if count > MOST:
        raise ConfigError(f"the sweep has {count:,} networks to judge; at most {MOST:,} are taken")
    places = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    points = []
    for place, folder in zip(places, folders(places), strict=True):
        chosen = copy.deepcopy(base) | {
            "methods": list(sections),
            "method": copy.deepcopy(sections),
        }
        for key, value in place.items():
            _assign(chosen, key, value, settings)
        points.append(Point(place, schema.parse(chosen), settings, folder))
    return points


def _values(where: str, values: Any) -> list[Any]:
    """The values on an axis, each of them once."""
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{where}: expected a list of values, got {short(values)}")
    known = set()
    for value in values:
        name = schema.digest(value)
        if name in known:
            raise ConfigError(f"{where}: the value {short(value)} stands twice")
        known.add(name)
    return values


def _methods(
    labels: Sequence[str], given: Mapping[str, Any], grids: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[str, dict[str, Any]]]]:
    """One section a setting, and what each of them is."""
    for label in given:
        if label not in labels:
            raise ConfigError(
                f"method.{label} is configured but not in methods [{', '.join(labels)}]"
            )
    sections: dict[str, Any] = {}
    settings: dict[str, tuple[str, dict[str, Any]]] = {}
    for label in labels:
        own_section = schema.table_of(f"method.{label}", given.get(label, {}))
        choices = list(_combinations(label, grids.get(label, {})))
        digits = len(str(len(choices)))
        for number, choice in enumerate(choices, start=1):
            own = label if len(choices) == 1 else f"{label}_{number:0{digits}}"
            if own in sections or (own in labels and own != label):
                raise ConfigError(
                    f"sweep.method.{label}: its setting {number} is called {own}, and so is another method; rename that"
                )
            named = {} if schema.is_code("method", own_section, label) else {"name": label}
            sections[own] = named | dict(own_section) | choice
            settings[own] = (label, choice)
    return sections, settings


def _combinations(label: str, grid: Any) -> Iterator[dict[str, Any]]:
    where = f"sweep.method.{label}"
    parts = [schema.table_of(where, part) for part in (grid if isinstance(grid, list) else [grid])]
    if not parts:
        raise ConfigError(f"{where}: expected a table, or a list of at least one, got []")
    for part in parts:
        axes = {field: _values(f"{where}.{field}", values) for field, values in part.items()}
        for values in itertools.product(*axes.values()):
            yield dict(zip(axes, values, strict=True))


def _assign(
    table: dict[str, Any], key: str, value: Any, settings: Mapping[str, tuple[str, Any]]
) -> None:
    """Put a value of an axis into the table of an experiment; that of a method, into all settings of the method."""
    *path, last = key.split(".")
    if not all((*path, last)):
        raise ConfigError(f"sweep.{key}: an axis is the name of a field, such as scenario.classes")
    if path[:1] == ["method"] or (not path and last == "methods"):
        label = (*path, last)[1] if path else None
        own = [name for name, (origin, _) in settings.items() if origin == label]
        if not own:
            raise ConfigError(
                f"sweep.{key}: an axis of a method is method.LABEL or method.LABEL.FIELD, with a label of methods"
            )
        for name in own:
            _put(table, ["method", name, *(*path, last)[2:]], value, key)
    else:
        _put(table, [*path, last], value, key)


def _put(table: dict[str, Any], path: Sequence[str], value: Any, key: str) -> None:
    *path, last = path
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"sweep.{key}: {name} is not a table")
    before = table.get(last)
    if isinstance(value, Mapping) and isinstance(before, Mapping):
        same = "name" not in value or value["name"] == before.get("name")
        value = {**before, **value} if same else value
    table[last] = copy.deepcopy(value)


def originals(points: Sequence[Point]) -> int:
    """How many original networks the points share among them."""
    return len({schema.digest(original_settings(point.experiment)) for point in points})


def done(point: Point, workdir: Path, remark: Callable[[str], None]) -> int:
    """How many networks of the point have a record already; `remark` is told of records that are damaged."""
    experiment = schema.plain(point.experiment)
    wanted = point.networks
    found = 0
    log = point.directory(workdir) / "records.jsonl"
    known = {(r["method"], max(number_of(r), 1)): r for r in records.read(log, remark)}
    for label, number in itertools.product(wanted, range(1, point.requests + 1)):
        record = known.get((label, number))
        if record is None:
            continue
        section = {label: experiment["method"][label]} if label in point.settings else {}
        expected = experiment | {"methods": list(section), "method": section}
        enough = label != "retrain" or references.count(record) >= point.experiment.references
        found += enough and _essence(record["config"]) == _essence(expected)
    return found


def _essence(experiment: dict[str, Any]) -> str:
    """What names an experiment, but for what changes no number."""
    dataset = without_location(experiment["dataset"])
    # A field without a value may be younger than a record that does not have it.
    none = ("loop", "references")
    numbers = {k: v for k, v in experiment.items() if k not in none and v is not None}
    return schema.digest(numbers | {"dataset": dataset})


def trials(point: Point, found: Sequence[Record]) -> list[Trial]:
    """The records of a point, each with its place in the sweep."""
    placed = []
    for record in found:
        method, settings = point.settings.get(record["method"], (record["method"], {}))
        placed.append(Trial(point.axes, method, settings, record))
    return placed


def by_request(found: Sequence[Trial]) -> list[Trial]:
    """The trials with the number of the request as one more axis, if any of them is of a stream; others are of one."""
    numbers = [number_of(trial.record) for trial in found]
    if not any(numbers):
        return list(found)
    return [
        trial._replace(axes=trial.axes | {REQUEST: max(number, 1)})
        for trial, number in zip(found, numbers, strict=True)
    ]


def check(
    points: Sequence[Point],
    rule: str | None,
    over: Collection[str],
    splits: Sequence[Collection[str]] | None = None,
) -> None:
    """Raise ConfigError for a rule of selection or an axis that does not exist, or a rule that a point cannot compute.

    `splits`: those of each point that are not empty, once the data have been read
    (`junlearn.experiment.foresight.foresee`).
    """
    if rule is not None:
        ruling.rule_of(rule)
    for axis in over:
        if axis != "seed" and axis not in points[0].axes:
            raise unknown("axis", axis, points[0].axes)
    for number, point in enumerate(points):
        if rule is not None:
            try:
                known = None if splits is None else splits[number]
                ruling.check_rule(rule, point.experiment, known)
            except ConfigError as error:
                raise ConfigError(f"{point.title()}: {error}" if point.axes else error) from error


def best(
    found: Sequence[Trial], rule: str | None, over: Collection[str] = ("seed",)
) -> list[list[Trial]]:
    """The runs of each setting along the axes `over`, in the order of the sweep; with a rule only of the best setting.

    The best setting of a method is that with the largest (or smallest, as the rule says) mean of what the rule names
    (`junlearn.experiment.ruling.rule_of`), at each place on the other axes by itself. Raises ConfigError where a choice
    is to be made and the value is not there.
    """
    cells: dict[str, dict[str, list[Trial]]] = {}
    for trial in found:
        place = {key: value for key, value in trial.axes.items() if key not in over}
        cell = cells.setdefault(schema.digest({"axes": place, "method": trial.method}), {})
        cell.setdefault(schema.digest(trial.settings), []).append(trial)
    chosen = []
    for cell in cells.values():
        runs = list(cell.values())
        chosen += runs if rule is None or len(runs) == 1 else [max(runs, key=_score(rule))]
    return chosen


def _score(text: str) -> Callable[[Sequence[Trial]], float]:
    """Of the runs of a setting; the larger, the better."""
    rule = ruling.rule_of(text)
    sign = 1 if rule.better == "max" else -1

    def mean(runs: Sequence[Trial]) -> float:
        values = [trial.record["metrics"].get(rule.name) for trial in runs]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            developer = rule.name == "corrective/developer"
            needed = " (it needs validation = ... in the experiment)" if developer else ""
            raise ConfigError(
                f"{runs[0].method}: nothing to choose by, the records have no {rule.name}{needed}"
            )
        return sign * statistics.fmean(known)

    return mean
