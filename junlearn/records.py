"""`records.jsonl`: one line for every network that was judged, appended when it is complete."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import jax

import junlearn
from junlearn.checkpoint import Store, exists
from junlearn.run import Result

__all__ = [
    "Made",
    "Record",
    "amend",
    "append",
    "attributed",
    "changed",
    "device",
    "new",
    "read",
    "remark",
    "replace",
    "spent",
    "versions",
]

DECISIVE = ("junlearn", "jax", "jaxlib")
"""Packages whose versions tell whether numbers of before are those of now; they are in no hash of a network."""

MADE = "made.json"
"""File beside the snapshots of a network: what it is made with."""


SECONDS = ("compile", "run", "evaluate", "total")


class Made(TypedDict):
    """What something was made with."""

    versions: dict[str, str]
    device: str


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
    weights: NotRequired[str]
    """Where the network lies below the run's directory, if it was asked for."""


def versions() -> dict[str, str]:
    """Versions of everything that numbers can depend on; of xgboost, which fits an attacker, where it is installed."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")
    found = {
        "python": platform.python_version(),
        "junlearn": junlearn.__version__,
        **{name: version(name) for name in packages},
    }
    # Where it is not, it has no entry: its absence says which attacker was fitted.
    with suppress(PackageNotFoundError):
        found["xgboost"] = version("xgboost")
    return found


def device() -> str:
    """Kind and number of the devices that JAX sees, such as `cpu x1`."""
    return f"{jax.devices()[0].device_kind} x{jax.device_count()}"


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
        versions=versions(),
        device=device(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def changed(made: Made) -> str:
    """In which of the decisive packages and in which kind of device `made` differs from what runs now; else empty."""
    before = {name: made["versions"].get(name, "unknown") for name in DECISIVE}
    now = {name: versions()[name] for name in DECISIVE}
    for values, text in ((before, made["device"]), (now, device())):
        values["device"] = text.rpartition(" x")[0]
    return ", ".join(f"{n} {before[n]} (now {now[n]})" for n in now if before[n] != now[n])


def remark(found: Sequence[Record], say: Callable[[str], None]) -> None:
    """Say which of `found` were kept from other versions or another kind of device: a line for each difference."""
    kept: dict[str, list[str]] = {}
    for record in found:
        kept.setdefault(changed(record), []).append(record["method"])
    for difference, labels in kept.items():
        if difference:
            say(f"records kept, not made again: {', '.join(labels)}, of {difference}")


def attributed(store: Store, label: str, say: Callable[[str], None]) -> Store:
    """`store`; it says what the network in it was made with, where that is not what runs now.

    That stands in a file beside the snapshots, which is written here where there are none yet.
    """
    note = store.directory / MADE
    if not exists(store):
        store.directory.mkdir(parents=True, exist_ok=True)
        replace(note, json.dumps(Made(versions=versions(), device=device())))
    elif note.exists() and (difference := changed(json.loads(note.read_text(encoding="utf-8")))):
        say(f"{label}: network kept, not trained again, of {difference}")
    return store


def replace(path: Path, text: str) -> None:
    """Write a file in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
