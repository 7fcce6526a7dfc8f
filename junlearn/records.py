"""`records.jsonl`: one line for every network that was judged, appended when it is complete."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypedDict

import jax

import junlearn
from junlearn.run import Result

__all__ = ["Record", "append", "device", "new", "read", "spent", "versions"]


class Record(TypedDict):
    """One line of `records.jsonl`. Accuracies are in [0, 1], times in seconds."""

    dataset: str
    model: str
    scenario: str
    method: str
    """Label of the method; the role for the original and the retrained network."""
    role: Literal["original", "retrain", "unlearn"]
    seed: int
    metrics: dict[str, float]
    seconds: dict[str, float]
    """compile, run (steps alone), evaluate (looks at its own progress while it ran) and total."""
    history: list[dict[str, Any]]
    """Mean metrics of every training epoch."""
    config: dict[str, Any]
    config_hash: str
    versions: dict[str, str]
    device: str
    time: str
    """When the record was made, UTC, ISO 8601."""


def versions() -> dict[str, str]:
    """Versions of everything that numbers can depend on."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")
    return {
        "python": platform.python_version(),
        "junlearn": junlearn.__version__,
        **{name: version(name) for name in packages},
    }


def device() -> str:
    """Kind and number of the devices that JAX sees, such as `cpu x1`."""
    return f"{jax.devices()[0].device_kind} x{jax.device_count()}"


def new(
    config: dict[str, Any],
    config_hash: str,
    role: Literal["original", "retrain", "unlearn"],
    method: str,
    metrics: dict[str, float],
    result: Result,
) -> Record:
    """The record of a network that was judged just now."""
    return Record(
        dataset=config["dataset"]["name"],
        model=config["model"]["name"],
        scenario=config["scenario"]["name"],
        method=method,
        role=role,
        seed=config["seed"],
        metrics=metrics,
        seconds=result.seconds,
        history=result.history,
        config=config,
        config_hash=config_hash,
        versions=versions(),
        device=device(),
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
