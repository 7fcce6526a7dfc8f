"""F_rank: forgetting quality without a grid, which depends on the order of the samples alone.

Every interval between neighbouring samples of the pool encloses one side or the other; the ends may lie beyond all
samples, so single thresholds of both directions are among them. Epsilon and score are those of `forgetting_quality`.
Under perfect unlearning its law is the same for all continuous margins, so that it falls with the number of networks
and not with the scale of what they say.
"""

import numpy as np

from junlearn.metrics.context import Floats, Integers
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
    best = np.maximum(codes[:, ::-1], codes[::-1])
    plays_second = selection(relabelled.second, len(pool), np.int8)
    order = np.argsort(pool, axis=0, kind="stable")
    ordered = np.take_along_axis(pool, order, axis=0)
    tied = (ordered[1:] == ordered[:-1]).any(axis=0)
    constant = ordered[0] == ordered[-1]
    code = np.empty((ways, pool.shape[1]), best.dtype)
    distinct = np.flatnonzero(~tied)
    for piece in pieces(len(distinct), 8 * ways * len(pool)):
        chosen = distinct[piece]
        code[:, chosen] = _of_distinct(plays_second, order[:, chosen], best)
    for example in np.flatnonzero(tied & ~constant):
        gaps = np.concatenate([[0], 1 + np.flatnonzero(np.diff(ordered[:, example])), [len(pool)]])
        code[:, example] = _of_tied(plays_second[:, order[:, example]], gaps, best)
    undecided = (code == DROPPED) & ~constant
    return np.where(constant, 0.0, table.values[np.where(constant, DROPPED, code)]), undecided


def _of_distinct(plays_second: np.ndarray, order: Integers, best: np.ndarray) -> np.ndarray:
    """The best code `[P,n]` of any interval, for samples that differ: `order[M,n]` sorts them.

    Intervals of `size` samples hold from `least` to `most` samples of the second side, and every number between: from
    one interval to the next a single sample comes and one goes. With the size fixed, enclosing the second side gains
    with each sample of it, and enclosing the first loses. But rules without errors of one kind alone are dropped, and
    those are the last at either end. So the best is among the last two at either end.
    """
    samples, examples = order.shape
    ways = len(plays_second)
    first, second = (size - 1 for size in best.shape)
    # By size and number of the second side: the code, and the better one of it and its neighbour towards the middle.
    sizes, inside = np.arange(samples + 1)[:, None], np.arange(second + 1)
    there = (sizes - inside >= 0) & (sizes - inside <= first)
    alone = np.where(there, best[np.clip(sizes - inside, 0, first), inside], DROPPED)
    pairs = np.maximum(alone[:, 1:], alone[:, :-1]).ravel()
    alone = alone.ravel()
    counts = np.int16 if second < np.iinfo(np.int16).max else np.int32
    below = np.zeros((samples + 1, examples * ways), counts)
    np.cumsum(plays_second.T[order].reshape(samples, -1), axis=0, out=below[1:])
    found = np.full(examples * ways, DROPPED, best.dtype)
    for size in range(1, samples + 1):
        held = below[size:] - below[:-size]
        least, most = held.min(axis=0).astype(np.intp), held.max(axis=0).astype(np.intp)
        np.maximum(found, alone.take(size * (second + 1) + least), out=found)
        # Where all intervals hold the same number there is no neighbour.
        varied = most > least
        row = size * second
        for place in (row + least, row + most - 1):
            neighbours = pairs.take(np.where(varied, place, 0))
            np.maximum(found, neighbours, out=found, where=varied)
    return found.reshape(examples, ways).T


def _of_tied(second: np.ndarray, gaps: Integers, best: np.ndarray) -> np.ndarray:
    """The best code [P] of any interval between two of the `gaps` of sorted samples: `second[P,M]` plays that side."""
    below = np.zeros((len(second), second.shape[1] + 1), np.int64)
    np.cumsum(second, axis=1, out=below[:, 1:])
    behind = below[:, gaps]
    place = (gaps - behind) * best.shape[1] + behind
    left, right = np.triu_indices(len(gaps), 1)
    code = np.empty(len(second), best.dtype)
    for piece in pieces(len(second), 8 * len(left)):
        enclosed = place[piece].take(right, axis=1)
        enclosed -= place[piece].take(left, axis=1)
        code[piece] = best.take(enclosed).max(axis=1)
    return code
