"""Churn: how often two networks give an example different classes, beyond what retraining twice does.

With counts `c[k]` of the classes that N networks give an example,

    between = 1 - sum_k c_u c_r / (N N'),  within = 1 - sum_k c (c - 1) / (N (N - 1))
    excess  = between - (within_u + within_r) / 2

averaged over the examples: 0 on average under perfect unlearning, unbiased, and negative at times.
"""

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    identity,
    pieces,
    selection,
)

__all__ = ["churn_excess", "resampled_churn_excess"]


def churn_excess(unlearned: np.ndarray, retrained: np.ndarray, classes: int) -> float:
    """The excess from predicted classes int`[N,n]` and `[N',n]` in `[0, classes)`, both N at least 2.

    Raises ConfigError if a class is out of range, a side has one network, or the numbers of examples differ.
    """
    sides = [_predictions(rows, classes) for rows in (unlearned, retrained)]
    if sides[0].shape[1] != sides[1].shape[1]:
        raise ConfigError(
            f"unlearned networks have {sides[0].shape[1]} examples, retrained ones {sides[1].shape[1]}"
        )
    dealt = identity(len(sides[0]), len(sides[1]))
    return float(resampled_churn_excess(np.concatenate(sides), dealt, classes)[0])


def resampled_churn_excess(pool: np.ndarray, relabelled: Relabelled, classes: int) -> Floats:
    """The excess float64[P] for each way to deal out the pool int`[M,n]`.

    Here a network may be dealt out more than once, or to no side: a bootstrap over the networks.
    """
    predicted = _predictions(pool, classes)
    sizes = [side.shape[1] for side in relabelled]
    if min(sizes) < 2:
        raise ConfigError("churn: agreement within a side needs at least 2 networks")
    chosen = [selection(side, len(predicted), np.float32) for side in relabelled]
    ways, networks = chosen[0].shape
    total = np.zeros(ways)
    for piece in pieces(predicted.shape[1], 4 * classes * max(ways, networks)):
        one_hot = predicted[:, piece, None] == np.arange(classes)
        given = one_hot.reshape(networks, -1).astype(np.float32)
        # Sums of products of counts are whole numbers; past 2^24 float32 would round them.
        counts = [(side @ given).astype(np.float64) for side in chosen]
        total -= np.einsum("pk,pk->p", *counts) / (sizes[0] * sizes[1])
        for size, count in zip(sizes, counts, strict=True):
            alike = np.einsum("pk,pk->p", count, count) - count.sum(axis=1)
            total += alike / (size * (size - 1)) / 2
    return total / predicted.shape[1]


def _predictions(rows: np.ndarray, classes: int) -> np.ndarray:
    """The classes as an array int[N,n]. Raises ConfigError unless they are whole numbers in range."""
    predicted = np.asarray(rows)
    if predicted.ndim != 2 or predicted.size == 0 or not np.issubdtype(predicted.dtype, np.integer):
        raise ConfigError(
            f"churn: expected whole numbers [networks, examples], got {predicted.dtype}{list(predicted.shape)}"
        )
    if predicted.min() < 0 or predicted.max() >= classes:
        raise ConfigError(
            f"churn: classes reach from {predicted.min()} to {predicted.max()}, but there are {classes}"
        )
    return predicted
