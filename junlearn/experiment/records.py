"""`records.jsonl`: one line for every network that was judged, appended when it is complete.

It is a log of sealed lines (`junlearn.experiment.sealed_log`).
"""

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NotRequired, cast, get_origin, get_type_hints

from junlearn.engine.run import Result
from junlearn.errors import DamagedError
from junlearn.experiment import provenance, sealed_log
from junlearn.experiment.provenance import Provenance
from junlearn.experiment.sealed_log import Kind, Remark
from junlearn.metrics import Interval

__all__ = [
    "SECONDS",
    "Record",
    "amend",
    "append",
    "flat",
    "new",
    "number_of",
    "read",
    "repair",
    "settings",
    "spent",
]

log = logging.getLogger(__name__)

SECONDS = ("compile", "run", "evaluate", "total")
"""Times of a result."""


class Record(Provenance):
    """One line of `records.jsonl`. Accuracies are in [0, 1], times in seconds."""

    dataset: str
    model: str
    scenario: str
    method: str
    """Label of the method; the role for the original and the retrained network."""
    role: str
    """original, retrain or unlearn."""
    seed: int
    metrics: dict[str, float]
    intervals: NotRequired[dict[str, list[float]]]
    """Of a metric that is a statistic of examples its 95 % interval, from and to (`junlearn.metrics.intervals`); not in
    records of earlier versions."""
    references: NotRequired[dict[str, Any]]
    """Of the retrained network, where there are several: their "count", and as "metrics" of each name the values of all
    of them, the first being this one (`junlearn.experiment.references`)."""
    seconds: dict[str, float]
    """SECONDS: run are the steps alone, evaluate the looks at its own progress while it ran."""
    stages: NotRequired[dict[str, float]]
    """The part of `run` that each stage took, by its name; not in records of earlier versions."""
    history: list[dict[str, Any]]
    """Mean metrics of every training epoch."""
    config: dict[str, Any]
    config_hash: str
    time: str
    """When the record was made, UTC, ISO 8601."""
    effect: NotRequired[str]
    """In words, where a method changed nothing (`junlearn.experiment.effect`)."""
    certificate: NotRequired[dict[str, Any]]
    """What a method with a proof guarantees, and what that assumes (`junlearn.types.Method.certificate`)."""
    request: NotRequired[dict[str, Any]]
    """What was to be forgotten, of which data: see `junlearn.experiment.request.summary`; not in records of earlier
    versions. In a stream it is all so far, with the "number" of the request, from 1 on, and how many were "new"."""
    preprocessing: NotRequired[dict[str, Any]]
    """What was done to the pixels before a network got them (`Dataset.preprocessing`), with its `input_shape`; not in
    records of earlier versions."""
    given: NotRequired[dict[str, str]]
    """Where the original came from a file: `file`, and the `sha256` of its content."""
    weights: NotRequired[str]
    """Where the network lies below the run's directory, if it was asked for."""


HINTS = get_type_hints(Record)
REQUIRED = {
    name: get_origin(HINTS[name]) or HINTS[name] for name in sorted(Record.__required_keys__)
}
"""Fields of every record, with the type that its value has."""


def new(
    config: dict[str, Any],
    config_hash: str,
    role: str,
    method: str,
    metrics: dict[str, float],
    result: Result | None,
    code: Mapping[str, str] | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> Record:
    """The record of a network that was judged just now; what its method reports is among the metrics.

    Without a `result`, of one that was trained elsewhere.
    """
    record = Record(
        dataset=config["dataset"]["name"],
        model=config["model"]["name"],
        scenario=config["scenario"]["name"],
        method=method,
        role=role,
        seed=config["seed"],
        metrics=metrics if result is None else metrics | result.reported,
        seconds=dict.fromkeys(SECONDS, 0.0) if result is None else result.seconds,
        stages={} if result is None else result.stages,
        history=[] if result is None else result.history,
        config=config,
        config_hash=config_hash,
        **provenance.now(code or {}),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if intervals:
        record["intervals"] = {name: list(interval) for name, interval in intervals.items()}
    if result is not None and result.certificate:
        record["certificate"] = result.certificate
    return record


def number_of(record: Record) -> int:
    """Which request of a stream a record is of, from 1 on; 0 where there are no several."""
    return int(record.get("request", {}).get("number", 0))


def spent(record: Record) -> float:
    """The price of a method in seconds: its steps, and its looks at its own progress; compilation is not in it."""
    return record["seconds"]["run"] + record["seconds"].get("evaluate", 0.0)


def settings(record: Record) -> dict[str, str | int | float | None]:
    """The configuration of a record as one row; that of its method is `method/FIELD`, whatever its label."""
    config = dict(record["config"])
    sections = config.get("method", {})
    if len(sections) == 1:
        config["method"] = next(iter(sections.values()))
    return flat(config)


def flat(
    tree: Mapping[str, Any], prefix: str = "", joint: str = "/"
) -> dict[str, str | int | float | None]:
    """A tree of tables as one row, with names such as `OUTER/INNER`; lists are JSON text."""
    found: dict[str, str | int | float | None] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}{joint}", joint)
        elif value is None or isinstance(value, str | int | float):
            found[f"{prefix}{name}"] = value
        else:
            found[f"{prefix}{name}"] = json.dumps(value)
    return found


def _parse(content: dict[str, Any]) -> None:
    """Raise DamagedError where a sealed line is no record."""
    for name, kind in REQUIRED.items():
        if not isinstance(content.get(name), kind):
            raise DamagedError(f"its field {name!r} is missing or not a {kind.__name__}")
    numbers = [*content["metrics"].values(), *content["seconds"].values()]
    if "run" not in content["seconds"] or not all(isinstance(n, int | float) for n in numbers):
        raise DamagedError("its metrics or seconds are not numbers")
    intervals = content.get("intervals", {})
    if not isinstance(intervals, dict) or not all(_is_pair(i) for i in intervals.values()):
        raise DamagedError("its intervals are not pairs of numbers")


def _is_pair(value: Any) -> bool:
    numbers = value if isinstance(value, list) else []
    return len(numbers) == 2 and all(isinstance(number, int | float) for number in numbers)


def _name(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two records of one network and metrics have in common."""
    return tuple(record[name] for name in ("config_hash", "role", "method", "seed"))


KIND = Kind(_parse, _name)


def read(path: Path, remark: Remark = log.warning) -> list[Record]:
    """All records of a file, none if it is not there; of one network and metrics the last.

    Lines that are not as they were written are left out, which `remark` is told. Nothing is changed on disk.
    """
    return cast(list[Record], sealed_log.read(path, KIND, remark))


def repair(path: Path, remark: Remark = log.warning) -> list[Record]:
    """As `read`, for who writes to the file next: damaged, it is kept as `NAME.damaged` beside its good lines."""
    return cast(list[Record], sealed_log.repair(path, KIND, remark))


def append(path: Path, record: Record, remark: Remark = log.warning) -> Record:
    """Add a line, in one write that is on disk when this returns, and return the record that it holds.

    Numbers that are not finite have no place in a file of JSON: metrics that are none are left out, which is said, and
    settings become text.
    """
    record = _finite(record, remark)
    sealed_log.append(path, record, KIND, remark)
    return record


def amend(path: Path, record: Record, remark: Remark = log.warning) -> Record:
    """Put `record` in the place of the one of the same network and metrics; the file is replaced in one step.

    Returns the record as `append` does.
    """
    record = _finite(record, remark)
    sealed_log.amend(path, record, KIND, remark)
    return record


def _finite(record: Record, remark: Remark) -> Record:
    """The record without numbers that JSON does not have."""
    lost = [name for name, value in record["metrics"].items() if not _is_finite(value)]
    if lost:
        remark(f"{record['method']}: not in the record, no finite number: {', '.join(lost)}")

    def clean(part: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in part.items() if _is_finite(value)}

    changed = {
        "metrics": clean(record["metrics"]),
        "history": [clean(entry) for entry in record["history"]],
        "config": _in_words(record["config"]),
    }
    if "intervals" in record:
        changed["intervals"] = {
            name: interval
            for name, interval in record["intervals"].items()
            if name in changed["metrics"] and all(map(_is_finite, interval))
        }
    if "certificate" in record:
        changed["certificate"] = _in_words(record["certificate"])
    return {**record, **changed}  # type: ignore[typeddict-item]


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _in_words(value: Any) -> Any:
    """A setting or a bound with numbers such as infinity as text."""
    if isinstance(value, Mapping):
        return {name: _in_words(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_in_words(part) for part in value]
    return value if _is_finite(value) else str(value)
