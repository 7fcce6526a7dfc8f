"""Forgetting quality F of the NeurIPS 2023 unlearning challenge (Triantafillou et al. 2024), exactly and fast.

Per example, F looks for the rule that tells the margins of N unlearned networks from those of N retrained ones best,
among single thresholds and intervals on a grid, and turns its error rates into an epsilon (`error_table`). Score
`2^-floor(2 epsilon)`; F is the mean over the examples.

F has no fixed best value: the rules are chosen on the samples that judge them, and the grid has a fixed step of 0.01
and a reach of 2 around the samples. A perfect unlearner scores less than 0.25, how much depends on the scale of the
margins. So F is printed beside its null. `rank_quality` does not depend on the scale.
"""

from typing import NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats, Integers
from junlearn.metrics.ensemble.error_table import (
    CAP,
    DROPPED,
    ErrorTable,
    error_table,
    quality_of,
)
from junlearn.metrics.ensemble.quality_rules import double_gaps, single_gaps
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    check_deal,
    pieces,
    pool_of,
    selection,
)

__all__ = [
    "ForgettingQuality",
    "final_score",
    "forgetting_quality",
    "resampled_epsilon",
    "resampled_forgetting_quality",
]

LIKE = 0.01
"""Where the ranges of the sides differ by more than this ratio, epsilon is CAP."""


class ForgettingQuality(NamedTuple):
    """F of one ensemble against another."""

    value: float
    """F, the mean score over the examples, in [0, 1]."""
    epsilon: Floats
    """float64[n], each in [0, 50]."""
    undecided: int
    """Examples of which every rule was dropped: their epsilon is 50."""


def forgetting_quality(unlearned: np.ndarray, retrained: np.ndarray) -> ForgettingQuality:
    """F from margins `[N,n]` of either side.

    Two sides that are constant and equal have epsilon 0, constant and different ones 50. Raises ConfigError if the
    sides have other numbers of networks, or margins that are not finite.
    """
    pool, dealt = pool_of(unlearned, retrained)
    epsilon, undecided = _epsilons(pool, dealt)
    value = quality_of(epsilon[0], dealt.first.shape[1]).mean()
    return ForgettingQuality(float(value), epsilon[0], int(undecided[0].sum()))


def resampled_forgetting_quality(pool: np.ndarray, relabelled: Relabelled) -> Floats:
    """F float64[P] for each way to deal out the pool `[2N,n]`."""
    epsilon = resampled_epsilon(pool, relabelled)
    return quality_of(epsilon, relabelled.first.shape[1]).mean(axis=1)


def resampled_epsilon(pool: np.ndarray, relabelled: Relabelled) -> Floats:
    """Epsilon float64[P,n] of every example, for each way to deal out the pool `[2N,n]`."""
    return _epsilons(check_deal(pool, relabelled), relabelled)[0]


def final_score(
    quality: float,
    retain_accuracy: tuple[float, float],
    test_accuracy: tuple[float, float],
) -> float:
    """The challenge's score `F (RA_u / RA_r) (TA_u / TA_r)`; accuracies `(unlearned, retrained)`, means over networks.

    A ratio may exceed 1. Raises ConfigError if the retrained networks have an accuracy of 0.
    """
    ratios = []
    for unlearned, retrained in (retain_accuracy, test_accuracy):
        if retrained <= 0:
            raise ConfigError("final score: the retrained networks have an accuracy of 0")
        ratios.append(unlearned / retrained)
    return quality * ratios[0] * ratios[1]


def _epsilons(pool: Floats, relabelled: Relabelled) -> tuple[Floats, np.ndarray]:
    """`(epsilon, undecided)` [P,n] for each way to deal out, and each example."""
    networks, others = (rows.shape[1] for rows in relabelled)
    if networks != others:
        raise ConfigError(
            f"forgetting quality: {networks} unlearned networks and {others} retrained ones; "
            "it is defined for equal numbers"
        )
    table = error_table(networks, networks)
    second = selection(relabelled.second, len(pool), np.int8).astype(bool)
    epsilon = np.empty((len(second), pool.shape[1]))
    undecided = np.zeros(epsilon.shape, bool)
    for example in range(pool.shape[1]):
        order = np.argsort(pool[:, example], kind="stable")
        deal = _Deal(pool[order, example], second[:, order])
        settled, fixed = _settled(deal)
        codes = np.maximum(_single(deal, table), _double(deal, table, settled))
        undecided[:, example] = (codes == DROPPED) & ~settled
        epsilon[:, example] = np.where(settled, fixed, table.values[codes])
    return epsilon, undecided


class _Deal:
    """The sorted samples of one example, and who plays which side: axis 0 of its arrays is P."""

    def __init__(self, v: Floats, second: np.ndarray):
        ways, size = second.shape
        self.v = v
        self.below = np.zeros((2, ways, size + 1), np.int64)
        """How many samples of the first and of the second side are in front of a gap."""
        np.cumsum(second, axis=1, out=self.below[1, :, 1:])
        np.subtract(np.arange(size + 1), self.below[1], out=self.below[0])
        sides = np.stack([~second, second])
        self.low = v[sides.argmax(axis=2)]
        self.high = v[size - 1 - sides[:, :, ::-1].argmax(axis=2)]
        self.range = self.high - self.low
        half = size // 2
        middle = [
            v[(self.below[:, :, 1:] <= place).sum(axis=2)] for place in ((half - 1) // 2, half // 2)
        ]
        median = (middle[0] + middle[1]) / 2
        self.positive = (median[1] > median[0]).astype(int)
        """The side that a single rule calls positive."""
        closer = self.range[1] < self.range[0]
        tied = self.range[1] == self.range[0]
        self.inside = np.where(tied, 1 - self.positive, closer).astype(int)
        """The side that a double rule encloses."""


def _settled(deal: _Deal) -> tuple[np.ndarray, Floats]:
    """`(bool[P], float64[P])`: where no rule is tried, and the epsilon there."""
    smaller, larger = deal.range.min(axis=0), deal.range.max(axis=0)
    constant = larger == 0
    with np.errstate(invalid="ignore"):
        unlike = smaller / larger < LIKE
    equal = constant & (deal.low[0] == deal.low[1])
    return constant | unlike, np.where(equal, 0.0, CAP)


def _single(deal: _Deal, table: ErrorTable) -> Integers:
    """The best code int[P] of a single threshold."""
    gaps = single_gaps(deal.v)
    networks = deal.below[0, 0, -1]
    ways = np.arange(len(deal.positive))[:, None]
    missed = deal.below[deal.positive[:, None], ways, gaps]
    called = networks - deal.below[1 - deal.positive[:, None], ways, gaps]
    codes = table.codes[called * (networks + 1) + missed]
    return codes.max(axis=1, initial=DROPPED)


def _double(deal: _Deal, table: ErrorTable, settled: np.ndarray) -> Integers:
    """The best code int[P] of an interval. Which gaps there are depends on the ends of the inner side alone."""
    ways = np.arange(len(settled))
    low, high = deal.low[deal.inside, ways], deal.high[deal.inside, ways]
    networks = deal.below[0, 0, -1]
    base = networks * (networks + 1)
    # Of an interval, (networks - inside of one side) (networks + 1) + inside of the other is the place in the table.
    place = deal.below[deal.inside, ways] * (networks + 1) - deal.below[1 - deal.inside, ways]
    best = np.zeros(len(settled), table.codes.dtype)
    ends, group = np.unique(np.stack([low, high], axis=1), axis=0, return_inverse=True)
    for number, (first, last) in enumerate(ends):
        rows = np.flatnonzero((group.ravel() == number) & ~settled)
        if len(rows) == 0:
            continue
        right, left = double_gaps(deal.v, first, last)
        for piece in pieces(len(rows), 8 * max(1, len(right))):
            own = place[rows[piece]]
            enclosed = own.take(right, axis=1)
            enclosed -= own.take(left, axis=1)
            np.subtract(base, enclosed, out=enclosed)
            best[rows[piece]] = table.codes.take(enclosed).max(axis=1, initial=DROPPED)
    return best
