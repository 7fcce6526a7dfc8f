"""F_rank: forgetting quality without a grid, which depends on the order of the samples alone.

Every interval between neighbouring samples of the pool encloses one side or the other; the ends may lie beyond all
samples, so single thresholds of both directions are among them. Epsilon and score are those of `forgetting_quality`.
Under perfect unlearning its law is the same for all continuous margins, so that it falls with the number of networks
and not with the scale of what they say.
"""

import numpy as np

from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble.error_table import DROPPED, error_table, quality_of
from junlearn.metrics.ensemble.forgetting_quality import ForgettingQuality
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    check_deal,
    pieces,
    pool_of,
    selection,
)

__all__ = ["rank_quality", "resampled_rank_quality"]


def rank_quality(unlearned: np.ndarray, retrained: np.ndarray) -> ForgettingQuality:
    """F_rank from margins `[N,n]` and `[N',n]`; the bucket at the end is that of the smaller side.

    An example whose margins are all equal has epsilon 0. Raises ConfigError if margins are not finite.
    """
    pool, dealt = pool_of(unlearned, retrained)
    epsilon, undecided = _epsilons(pool, dealt)
    value = quality_of(epsilon[0], min(len(unlearned), len(retrained))).mean()
    return ForgettingQuality(float(value), epsilon[0], int(undecided[0].sum()))


def resampled_rank_quality(pool: np.ndarray, relabelled: Relabelled) -> Floats:
    """F_rank float64[P] for each way to deal out the pool `[M,n]`."""
    epsilon, _ = _epsilons(check_deal(pool, relabelled), relabelled)
    return quality_of(epsilon, min(side.shape[1] for side in relabelled)).mean(axis=1)


def _epsilons(pool: Floats, relabelled: Relabelled) -> tuple[Floats, np.ndarray]:
    """`(epsilon, undecided)` [P,n] for each way to deal out, and each example."""
    ways, first = relabelled.first.shape
    second = relabelled.second.shape[1]
    table = error_table(first, second)
    # Inside an interval, `a` of the first side and `b` of the second: the better of enclosing one or the other.
    codes = table.codes.reshape(first + 1, second + 1)
    best = np.maximum(codes[:, ::-1], codes[::-1]).ravel()
    plays_second = selection(relabelled.second, len(pool), np.int8)
    epsilon = np.empty((ways, pool.shape[1]))
    undecided = np.zeros(epsilon.shape, bool)
    for example in range(pool.shape[1]):
        order = np.argsort(pool[:, example], kind="stable")
        gaps = np.concatenate([[0], 1 + np.flatnonzero(np.diff(pool[order, example])), [len(pool)]])
        below = np.zeros((ways, len(pool) + 1), np.int64)
        np.cumsum(plays_second[:, order], axis=1, out=below[:, 1:])
        behind = below[:, gaps]
        place = (gaps - behind) * (second + 1) + behind
        left, right = np.triu_indices(len(gaps), 1)
        code = np.empty(ways, best.dtype)
        for piece in pieces(ways, 8 * len(left)):
            enclosed = place[piece].take(right, axis=1)
            enclosed -= place[piece].take(left, axis=1)
            code[piece] = best.take(enclosed).max(axis=1)
        constant = len(gaps) == 2
        undecided[:, example] = (code == DROPPED) & (not constant)
        epsilon[:, example] = 0.0 if constant else table.values[code]
    return epsilon, undecided
