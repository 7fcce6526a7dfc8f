"""`records.jsonl`: one line for every network that was judged, appended when it is complete."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NotRequired

from junlearn import provenance
from junlearn.files import replace
from junlearn.provenance import Made
from junlearn.run import Result

__all__ = ["Record", "amend", "append", "new", "read", "spent"]

SECONDS = ("compile", "run", "evaluate", "total")
"""Times of a result."""


class Record(Made):
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
    request: NotRequired[dict[str, Any]]
    """What was to be forgotten, of which data: see `junlearn.request.summary`; not in records of earlier versions."""
    weights: NotRequired[str]
    """Where the network lies below the run's directory, if it was asked for."""


def new(
    config: dict[str, Any],
    config_hash: str,
    role: str,
    method: str,
    metrics: dict[str, float],
    result: Result | None,
) -> Record:
    """The record of a network that was judged just now; what its method reports is among the metrics.

    Without a `result`, of one that was trained elsewhere.
    """
    return Record(
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
        versions=provenance.versions(),
        device=provenance.device(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def spent(record: Record) -> float:
    """The price of a method in seconds: its steps, and its looks at its own progress; compilation is not in it."""
    return record["seconds"]["run"] + record["seconds"].get("evaluate", 0.0)


def read(path: Path) -> list[Record]:
    """All complete records; a last line that was cut off while it was written is passed over."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    # What follows the last newline was never finished.
    return [json.loads(line) for line in lines[:-1] if line]


def append(path: Path, record: Record) -> None:
    """Add a line, in one write that is on disk when this returns; the remains of a cut-off line are removed first."""
    with open(path, "ab+") as file:
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def amend(path: Path, record: Record) -> None:
    """Put `record` in the place of the one of the same network and metrics; the file is replaced in one step."""

    def same(other: Record) -> bool:
        return all(other[name] == record[name] for name in ("config_hash", "role", "method"))

    lines = [json.dumps(record if same(other) else other) + "\n" for other in read(path)]
    replace(path, "".join(lines))
