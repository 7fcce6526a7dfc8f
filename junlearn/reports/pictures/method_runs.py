"""The runs of one method put together: each beside the retrained network of its own experiment."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from junlearn.experiment.records import Record, number_of
from junlearn.metrics.aggregate import measured
from junlearn.reports.columns import FORGETTING, Column, first_columns
from junlearn.reports.style import ORIGINAL, RETRAINED, Look, look

__all__ = ["Measure", "Run", "Setting", "columns", "looks", "seeds", "settings", "titles"]

ATTACK = next(column for column in FORGETTING if column.metric == "mia/entropy")
OWN = ("methods", "method")
"""Parts of a configuration that differ between the networks of one experiment."""
IN_PYTHON = (*OWN, "key", "train", "metrics")
"""The same of records that were made in Python, which have a key each."""


class Measure(NamedTuple):
    """A mean over runs."""

    mean: float
    deviation: float
    """Sample standard deviation; 0 of a single run."""
    size: int


class Run(NamedTuple):
    """A network that was judged."""

    record: Record
    reference: Mapping[str, float]
    """Metrics of the retrained network of the same experiment, or of the original where none was retrained."""

    def gap(self, metric: str) -> float | None:
        """A metric less that of the reference; None where one of them does not have it."""
        own = self.record["metrics"]
        both = metric in own and metric in self.reference
        return own[metric] - self.reference[metric] if both else None


class Setting(NamedTuple):
    """A method with its settings, and all its runs."""

    label: str
    role: str
    look: Look
    runs: tuple[Run, ...]

    def over(self, value: Callable[[Run], float | None]) -> Measure | None:
        """The mean of what the runs have; None where none has it."""
        found = [number for run in self.runs if (number := value(run)) is not None]
        if not found:
            return None
        mean = measured(found)
        return Measure(mean.mean, mean.deviation if len(found) > 1 else 0.0, len(found))

    def metric(self, name: str, factor: float = 1) -> Measure | None:
        """The mean of a metric, in the unit that `factor` makes."""
        return self.over(
            lambda run: (
                factor * run.record["metrics"][name] if name in run.record["metrics"] else None
            )
        )


def settings(records: Sequence[Record]) -> list[Setting]:
    """The networks of all records: the original, the retrained one, then the methods in their order.

    Records of one label are runs of one setting, unless their settings differ: then these stand in the label.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_experiment(record), []).append(record)
    base = "retrain" if any(r["role"] == "retrain" for r in records) else "original"
    references = {name: _means(group, base) for name, group in groups.items()}
    varied = _varied(records)
    found: dict[tuple[str, str], list[Run]] = {}
    for record in records:
        label = record["method"] + _said(record, varied.get(record["method"], []))
        run = Run(record, references[_experiment(record)])
        found.setdefault((record["role"], label), []).append(run)
    first = ("original", "retrain")
    order = sorted(found, key=lambda key: first.index(key[0]) if key[0] in first else 2)
    styles = looks([(role, label) for role, label in order])
    return [
        Setting(label, role, style, tuple(found[role, label]))
        for (role, label), style in zip(order, styles, strict=True)
    ]


def looks(networks: Sequence[tuple[str, str]]) -> list[Look]:
    """The look of each network (role, label): no two methods alike."""
    fixed = {"original": ORIGINAL, "retrain": RETRAINED}
    found: dict[tuple[str, str], Look] = {}
    for role, label in networks:
        number = sum(1 for key in found if key[0] not in fixed)
        found.setdefault((role, label), fixed.get(role) or look(number))
    return [found[network] for network in networks]


def columns(records: Sequence[Record]) -> list[Column]:
    """What is asked first of records, and the attack, in percent."""
    present = {name for record in records for name in record["metrics"]}
    more = [ATTACK._replace(heading="attack: members", factor=100)]
    manipulated = "corrective/corrected" in present
    # Of a test set whose forgotten part stands apart, the whole has no good direction.
    mixed = {"accuracy/test"} if "accuracy/retain_test" in present else set()
    return [
        *(c for c in first_columns(present) if c.metric not in mixed),
        *(c for c in more if c.metric in present and not manipulated),
    ]


def titles(records: Sequence[Record]) -> tuple[str, ...]:
    """Which data, network, request and seeds pictures are of."""
    first = records[0]
    scenarios = dict.fromkeys(record["scenario"] for record in records)
    parts = [first["dataset"], first["model"], *(f"scenario {name}" for name in scenarios)]
    return (*parts, seeds(records))


def seeds(records: Sequence[Record]) -> str:
    """The seed, or how many runs there are, in words."""
    found = dict.fromkeys(record["seed"] for record in records)
    most = max(len(setting.runs) for setting in settings(records))
    if most > 1:
        return f"mean ± standard deviation of {most} runs"
    return f"seed {next(iter(found))}"


def _experiment(record: Record) -> str:
    """What a record shares with those of the other networks of its experiment."""
    config = record["config"]
    own = IN_PYTHON if "key" in config else OWN
    shared = {name: value for name, value in config.items() if name not in own}
    return json.dumps([shared, record["seed"], number_of(record)], sort_keys=True, default=str)


def _means(group: Sequence[Record], role: str) -> dict[str, float]:
    """The mean of each metric over the networks of a role."""
    found: dict[str, list[float]] = {}
    for record in group:
        if record["role"] == role:
            for name, value in record["metrics"].items():
                found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _section(record: Record) -> Mapping[str, Any]:
    section: Mapping[str, Any] = record["config"].get("method", {}).get(record["method"], {})
    return section


def _varied(records: Sequence[Record]) -> dict[str, list[str]]:
    """Label -> the fields of its section that differ between its records."""
    found: dict[str, dict[str, set[str]]] = {}
    for record in records:
        fields = found.setdefault(record["method"], {})
        for name, value in _section(record).items():
            fields.setdefault(name, set()).add(json.dumps(value, default=str))
    return {
        label: [name for name, values in fields.items() if len(values) > 1]
        for label, fields in found.items()
    }


def _said(record: Record, fields: Sequence[str]) -> str:
    told = [f"{name} {_section(record)[name]}" for name in fields if name in _section(record)]
    return f" ({', '.join(told)})" if told else ""
