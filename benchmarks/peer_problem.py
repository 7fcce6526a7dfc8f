"""The problem that both sides of `peers.py` are given: images, the request, and the original network's weights.

It is handed over in files that NumPy reads, since the two sides may live in environments of their own.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["LAYERS", "Problem", "accuracies", "is_saved", "load", "make", "save"]

LAYERS = {
    "conv1": "extractor.0",
    "conv2": "extractor.3",
    "fc1": "extractor.7",
    "head.dense1": "head.0",
    "head.dense2": "head.1",
}
"""Names of LAF's CNN in our exports, and in `torch_models.LafCnn`."""

SIDE = 28


class Problem(NamedTuple):
    """Images are uint8[N,28,28,1], labels int32[N]."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    forget: np.ndarray
    """Rows of `x`."""
    classes: tuple[int, ...]
    """What is forgotten where whole classes are; else nothing, and `forget` says all."""

    @property
    def retain(self) -> np.ndarray:
        """The other rows of `x`."""
        return np.setdiff1d(np.arange(len(self.y)), self.forget)


def make(examples: int, request: str, seed: int, tiny: bool) -> Problem:
    """The first `examples` of MNIST, or with `tiny` as many random images; a sixth as many test images."""
    rng = np.random.default_rng(seed)
    tests = max(examples // 6, 20)
    if tiny:
        x = rng.integers(0, 256, (examples + tests, SIDE, SIDE, 1), dtype=np.uint8)
        y = np.arange(examples + tests, dtype=np.int32) % 10
        parts = [(x[:examples], y[:examples]), (x[examples:], y[examples:])]
    else:
        from junlearn.datasets import DATASETS

        component = DATASETS["mnist"]
        sources = component.make(component.Config()).sources
        cuts = {"train": examples, "test": tests}
        parts = [
            (np.asarray(sources[name].x[:count]), np.asarray(sources[name].y[:count], np.int32))
            for name, count in cuts.items()
        ]
    (x, y), (test_x, test_y) = parts
    if request == "class":
        return Problem(x, y, test_x, test_y, np.flatnonzero(y == 0), (0,))
    forget = np.sort(rng.choice(len(y), max(len(y) // 10, 1), replace=False))
    return Problem(x, y, test_x, test_y, forget, ())


def save(folder: Path, problem: Problem, weights: dict[str, np.ndarray]) -> None:
    """`problem.npz`, and after it `weights.npz` by our names of the layers."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = problem._asdict()
    arrays["classes"] = np.asarray(problem.classes, np.int32)
    for name, content in (("problem", arrays), ("weights", weights)):
        part = folder / f"part-{name}.npz"
        np.savez(part, **content)
        part.replace(folder / f"{name}.npz")


def is_saved(folder: Path) -> bool:
    """Whether `load` finds all of it."""
    return (folder / "weights.npz").exists()


def load(folder: Path) -> tuple[Problem, dict[str, np.ndarray]]:
    """What `save` wrote."""
    with np.load(folder / "problem.npz") as file:
        arrays: dict[str, Any] = dict(file)
    classes = tuple(int(number) for number in arrays.pop("classes"))
    with np.load(folder / "weights.npz") as file:
        return Problem(**arrays, classes=classes), dict(file)


def accuracies(problem: Problem, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Of the predicted labels `train[N]` and `test[M]`; the forget set's test images where classes are forgotten."""
    right, right_test = train == problem.y, test == problem.test_y
    retained = ~np.isin(problem.test_y, problem.classes)
    found = {
        "retain_train": right[problem.retain],
        "forget_train": right[problem.forget],
        "retain_test": right_test[retained],
    }
    if problem.classes:
        found["forget_test"] = right_test[~retained]
    return {name: float(values.mean()) for name, values in found.items()}
