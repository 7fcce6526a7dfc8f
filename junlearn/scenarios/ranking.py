"""Groups of examples by a score: those of the highest, of the lowest and of the middle, and parts of equal size.

Equal scores are taken in the order of the rows.
"""

from typing import Literal

import numpy as np

from junlearn.errors import ConfigError

__all__ = ["Group", "falling", "group", "parts"]

Group = Literal["high", "medium", "low", "mix"]


def falling(scores: np.ndarray) -> np.ndarray:
    """int[N]: rows, the one of the highest score first."""
    return np.argsort(-scores, kind="stable")


def group(scores: np.ndarray, name: Group, size: int, middle: float | None = None) -> np.ndarray:
    """int[size]: the rows of a group; high and low by falling score, medium by nearness to `middle` (None: the median).

    "mix" is a third of each, in the order high, medium, low. Raises ConfigError where there are not so many examples,
    or where the thirds of a mix have examples in common.
    """
    if size >= len(scores):
        raise ConfigError(
            f"size is {size:,}, and the training set has {len(scores):,} examples: at least one is retained"
        )
    if name == "mix":
        if size % 3:
            raise ConfigError(
                f"size is {size:,}: a mix is a third of each group, so a multiple of 3"
            )
        thirds = [group(scores, part, size // 3, middle) for part in ("high", "medium", "low")]
        rows = np.concatenate(thirds)
        if len(np.unique(rows)) < size:
            raise ConfigError(
                f"size is {size:,}: groups of {size // 3:,} of {len(scores):,} examples have examples in common, so "
                "there is no mix of them; choose a smaller size"
            )
        return rows
    order = falling(scores)
    if name == "high":
        return order[:size]
    if name == "low":
        return order[-size:]
    centre = float(np.median(scores)) if middle is None else middle
    return order[np.argsort(np.abs(scores[order] - centre), kind="stable")[:size]]


def parts(scores: np.ndarray, count: int) -> np.ndarray:
    """int[count, floor(N / count)]: rows by rising score in parts of equal size; what is left over is in none."""
    each = len(scores) // count
    if not each:
        raise ConfigError(f"{len(scores):,} examples do not make {count:,} parts")
    return np.argsort(scores, kind="stable")[: count * each].reshape(count, each)
