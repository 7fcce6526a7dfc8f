"""Which rows `gpu.py` fills, the most worth first, in which processes, and how large the problems are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CASES", "DATASETS", "PRECISIONS", "SIDES", "Row", "plan"]

PRECISIONS = ("bfloat16", "tf32", "float32")
SIDES = ("jax", "torch", "compiled")
CASES = ("resnet18", "mnist-cnn")
WAYS = ("vmap", "patches", "loop", "auto")
"""Of `train_many`; "loop" is one network after the other by one program."""
DATASETS = ("cifar10", "mnist", "fashion_mnist")
"""What the rows read where it is at hand."""
LANES = 8
"""Processes that share the GPU while every method runs once: that is compilation, on the host, for the most part."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement."""

    name: str
    process: str
    """Rows that follow each other in one process have the same one."""
    measure: str
    """A function of `measuring.py`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    guess: float = 30.0
    """Seconds that it may take on a large GPU, compilation included; guessed, not measured."""
    needs: str = ""
    """A dataset, or "torch", without which it is left out."""
    lanes: int = 1
    """How many processes run beside each other, this one included."""


def plan(tiny: bool, data: Mapping[str, Any]) -> list[Row]:
    """All rows. `tiny`: so small that a CPU does them; `data`: what is at hand, by the name of a dataset."""
    first, late = [p for p in PRECISIONS if p != "float32"], ["float32"]
    return [
        *_steps("resnet18", "jax", PRECISIONS, 12, tiny),
        *_steps("resnet18", "torch", PRECISIONS, 6, tiny),
        *_steps("resnet18", "compiled", first, 35, tiny),
        *_epochs(tiny),
        _fast(tiny),
        *_many(tiny),
        *_methods(tiny, data),
        _audit(tiny),
        *_steps("mnist-cnn", "jax", PRECISIONS, 8, tiny),
        *_steps("mnist-cnn", "torch", PRECISIONS, 5, tiny),
        *_steps("mnist-cnn", "compiled", first, 20, tiny),
        *_steps("resnet18", "compiled", late, 35, tiny),
        *_steps("mnist-cnn", "compiled", late, 20, tiny),
    ]


def _steps(case: str, side: str, precisions: Any, guess: float, tiny: bool) -> list[Row]:
    if case == "resnet18":
        model, shape, optimizer, batch, steps = "resnet18", (32, 32, 3), "sgd", 512, 20
    else:
        model, shape, optimizer, batch, steps = "laf_cnn", (28, 28, 1), "adam", 128, 200
    if tiny:
        batch, steps = 2, 1
    return [
        Row(
            name=f"step/{case}/{precision}/{side}",
            process=f"steps of {case}, {side}, {'late' if precisions == ['float32'] else 'first'}",
            measure="step",
            arguments={
                "side": side,
                "precision": precision,
                "model": model,
                "input_shape": shape,
                "batch": batch,
                "optimizer": optimizer,
                "steps": steps,
                "rounds": 1 if tiny else 5,
            },
            guess=guess,
            needs="" if side == "jax" else "torch",
        )
        for precision in precisions
    ]


def _epochs(tiny: bool) -> list[Row]:
    size = {"examples": 8, "batch": 4, "epochs": 1} if tiny else {"batch": 512, "epochs": 3}
    return [
        Row(
            name=f"epoch/resnet18/{precision}",
            process="epochs",
            measure="epoch",
            arguments={"precision": precision, **size},
            guess=15,
        )
        for precision in PRECISIONS
    ]


def _fast(tiny: bool) -> Row:
    small = [
        *("--dataset.train-per-class", "20", "--model.widths", "4", "4", "4", "4"),
        *("--train.epochs", "1", "--train.batch-size", "64"),
    ]
    return Row(
        name="fast",
        process="fast",
        measure="fast",
        arguments={"options": small if tiny else []},
        guess=45,
        needs="cifar10",
    )


def _many(tiny: bool) -> list[Row]:
    size = {"model": "laf_cnn", "count": 64, "examples": 4_096, "epochs": 2, "batch": 128}
    if tiny:
        size = {"model": "mlp", "count": 2, "examples": 20, "epochs": 1, "batch": 10}
    return [
        Row(
            name=f"many/{how}",
            process="many",
            measure="many",
            arguments={"how": how, **size},
            guess=12,
        )
        for how in WAYS
    ]


def _methods(tiny: bool, data: Mapping[str, Any]) -> list[Row]:
    from junlearn.methods import METHODS

    job = {"dataset": "mnist", "surrogate": "fashion_mnist"}
    if tiny:
        job = {"examples": 64, "epochs": 1}
    if tiny or not all(isinstance(data.get(name), list) for name in job.values()):
        # 237 of its training images are left as a validation set.
        job = {"examples": 1_200} | job
        job |= {"dataset": "digits", "surrogate": "gaussian_noise", "model": "small_cnn"}
    lanes = 2 if tiny else LANES
    return [
        Row(
            name=f"method/{name}",
            process=f"methods, lane {number % lanes + 1} of {lanes}",
            measure="method",
            arguments={"method": name, "job": job},
            guess=12,
            lanes=lanes,
        )
        for number, name in enumerate(METHODS)
    ]


def _audit(tiny: bool) -> Row:
    options = ["--methods", "finetune", "scrub", "--audit.models", "16", "--train.epochs", "8"]
    if tiny:
        options = [
            *("--methods", "finetune", "--audit.models", "8", "--train.epochs", "1"),
            *("--dataset.train-per-class", "20", "--model.name", "mlp", "--scenario.count", "10"),
            *("--train.batch-size", "64", "--audit.permutations", "99", "--audit.splits", "20"),
        ]
    return Row(
        name="audit",
        process="audit",
        measure="audit",
        arguments={"options": options},
        guess=100,
        needs="cifar10",
    )
