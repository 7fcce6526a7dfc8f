"""What a process of `gpu.py` measures: it reads its rows from stdin, and answers with a line of JSON for each.

Whatever else is printed meanwhile, by anybody, goes to stderr, which is the log.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["MEASURES", "answer"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "torch")
MEASURING = (
    *("gpu_rows/measuring", "gpu_rows/row_plan", "step_time", "torch_models"),
    *("many", "runs", "job", "method_settings", "report"),
)
"""Files beside the package that a figure depends on."""
Figures = dict[str, Any]
Given = Mapping[str, Any]


def answer() -> None:
    """Measure what stdin asks for: the name of the measure, the rows, and a folder to work in."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    for name, found in MEASURES[asked["measure"]](asked["rows"], Path(asked["folder"])):
        answers.write(json.dumps({"row": name} | found) + "\n")
        answers.flush()


Measure = Callable[[Sequence[Given], Path], Iterator[tuple[str, Figures]]]


def _each(measure: Callable[[Given, Path], Figures]) -> Measure:
    """Row after row; one that fails keeps no other from being measured."""

    def rows(asked: Sequence[Given], folder: Path) -> Iterator[tuple[str, Figures]]:
        for row in asked:
            try:
                yield row["name"], {"figures": measure(row["arguments"], folder)}
            except Exception as error:
                text = " ".join(str(error).split())
                yield row["name"], {"failed": f"{type(error).__name__}: {text[:300]}"}

    return rows


def machine(given: Given, folder: Path) -> Figures:
    """The device, the versions, the code, and the datasets at hand: read once, so that they are decoded."""
    import jax
    from step_time import processor

    device = jax.devices()[0]
    memory = (device.memory_stats() or {}).get("bytes_limit")
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "memory": memory and f"{memory / 2**30:.0f} GiB for JAX",
        "driver": _driver(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()} | _versions(),
        "commit": _commit(),
        "code": _code(),
        "date": datetime.now(UTC).date().isoformat(),
        "data": {name: _sizes(name) for name in given["datasets"]},
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _driver() -> str | None:
    ask = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return _said(ask)


def _said(command: Sequence[str]) -> str | None:
    """What a command says, in one line; None where there is no such command, or it fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else None


def _commit() -> str | None:
    commit = _said(["git", "rev-parse", "--short=10", "HEAD"])
    return f"{commit}, changed" if commit and _said(["git", "status", "--porcelain"]) else commit


def _code() -> str:
    """Eight hexadecimal digits over the source of the package and of what measures."""
    total = hashlib.blake2b(digest_size=4)
    own = [ROOT / "benchmarks" / f"{name}.py" for name in MEASURING]
    for path in sorted([*(ROOT / "junlearn").rglob("*.py"), *own]):
        total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def _sizes(name: str) -> list[int] | str:
    """The numbers of training and test images of a dataset, or why it cannot be read."""
    from junlearn import JunlearnError
    from junlearn.datasets import DATASETS

    try:
        sources = DATASETS[name].make(DATASETS[name].Config()).sources
    except (JunlearnError, ImportError) as error:
        return str(error)
    return [len(sources[part].y) for part in ("train", "test")]


def step(given: Given, folder: Path) -> Figures:
    """Milliseconds of a training step on one side."""
    from step_time import Work, jax_steps, medians, torch_steps

    options = dict(given)
    side, rounds, steps = options.pop("side"), options.pop("rounds"), options["steps"]
    name = options.pop("model")
    if side == "jax":
        work: Work = jax_steps(name, loop="scan", **options)
    else:
        work = torch_steps(name, compiled=side == "compiled", channels_last=True, **options)
    milliseconds = 1e3 * medians({side: work}, rounds)[side] / steps
    return {"ms": milliseconds, "batch": options["batch"], "rounds": rounds, "steps": steps}


def epoch(given: Given, folder: Path) -> Figures:
    """Seconds of an epoch of ResNet-18 on CIFAR-10, by the loop that trains every network."""
    import jax

    from junlearn.datasets import DATASETS
    from junlearn.engine.precision import in_precision, matmuls
    from junlearn.errors import DataError
    from junlearn.methods import retrain
    from junlearn.models import MODELS
    from junlearn.train import train
    from junlearn.types import Data

    cifar10 = DATASETS["cifar10"]
    views: Any = None
    try:
        dataset = cifar10.make(cifar10.Config(augmentation="crop_flip"))
        data, views, images = dataset.sources["train"], dataset.views, "CIFAR-10"
    except (DataError, ImportError):
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8)
        data, images = Data(x, rng.integers(0, 10, 50_000).astype(np.int32)), "random"
    if "examples" in given:
        data = data.take(slice(given["examples"]))
    component = MODELS["resnet18"]
    model = component.make(component.Config(), 10, (32, 32, 3))
    exact = given["precision"] == "float32"
    model = in_precision(model, "bfloat16" if given["precision"] == "bfloat16" else "float32")
    recipe = retrain.Config(
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        epochs=given["epochs"],
        batch_size=given["batch"],
    )
    sources = jax.device_put({"train": data})
    with matmuls("highest" if exact else "default"):
        done = train(recipe, model, sources, key=jax.random.key(0), views=views)
    seconds = done.seconds["run"] / given["epochs"]
    return {
        "s": seconds,
        "images": len(data.y),
        "images_are": images,
        "images_a_second": len(data.y) / seconds,
        "compile": done.seconds["compile"],
        "batch": given["batch"],
    }


def fast(given: Given, folder: Path) -> Figures:
    """The fast original of configs/speed/cifar10.toml: its accuracy and seconds, from nothing that was kept."""
    from junlearn.experiment.records import read

    workdir, seconds = _command([], "speed/cifar10", given["options"], folder / "fast")
    (original,) = [r for r in read(workdir / "records.jsonl") if r["role"] == "original"]
    return {
        "accuracy": original["metrics"]["accuracy/test"],
        "epochs": len(original["history"]),
        **{name: original["seconds"][name] for name in ("compile", "run")},
        "whole": seconds,
    }


def audit(given: Given, folder: Path) -> Figures:
    """The audit of configs/audit/cifar10_fast.toml with few networks: its seconds and verdicts."""
    from junlearn.audit.audit_log import read

    workdir, seconds = _command(["audit"], "audit/cifar10_fast", given["options"], folder / "audit")
    rows = read(workdir / "audit.jsonl")
    return {
        "networks": rows[0]["models"],
        "options": " ".join(given["options"]),
        "whole": seconds,
        "verdicts": {r["method"]: r["verdict"] for r in rows if r["role"] == "unlearn"},
    }


def _command(
    command: list[str], config: str, options: list[str], workdir: Path
) -> tuple[Path, float]:
    """Run the command line on a shipped configuration; the directory, and the seconds."""
    import time

    from junlearn.main import main

    file = str(ROOT / "configs" / f"{config}.toml")
    began = time.perf_counter()
    status = main([*command, "--config", file, "--workdir", str(workdir), *options])
    if status != 0:
        raise RuntimeError(f"the command ended with status {status}; the log says why")
    return workdir, time.perf_counter() - began


def many(given: Given, folder: Path) -> Figures:
    """Networks a minute by one way of `train_many`: of a second call, and the seconds of the first one."""
    import time

    from many import works

    steps: dict[str, list[float]] = {}
    how = given["how"]
    work = works(given["model"], [how], argparse.Namespace(**given, devices=1), steps)[how]
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return {
        **{name: given[name] for name in ("model", "count", "examples", "epochs", "batch")},
        "first": seconds[0],
        "again": seconds[1],
        "steps": steps[how][-1],
        "a_minute": 60 * given["count"] / seconds[1],
    }


def methods(asked: Sequence[Given], folder: Path) -> Iterator[tuple[str, Figures]]:
    """The job of `runs.py` with each method; original and reference are trained once."""
    from dataclasses import asdict

    from runs import Job, measure_each

    job = Job(**asked[0]["arguments"]["job"])
    names = [row["arguments"]["method"] for row in asked]
    found = measure_each(job, names)
    for row, measured in zip(asked, found, strict=True):
        if measured.total is None:
            yield row["name"], {"failed": measured.note}
        else:
            yield row["name"], {"figures": asdict(measured) | {"job": asdict(job)}}


MEASURES: dict[str, Measure] = {
    "machine": _each(machine),
    "step": _each(step),
    "epoch": _each(epoch),
    "fast": _each(fast),
    "many": _each(many),
    "method": methods,
    "audit": _each(audit),
}
