"""Uncertainty of a value of one network: other examples of the same kind would have given another one.

    share      k of N      Wilson's interval: Wilson, JASA 22 (1927); Brown, Cai and DasGupta, Statistical Science 16
                           (2001), recommend it for small N too
    mean of N numbers      percentile bootstrap over the examples, at the level that Student's t asks for: Hesterberg,
                           "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015); above
                           LARGE examples its normal limit
    function of shares     percentiles over draws of the shares, a Dirichlet draw for each split: the Bayesian bootstrap
                           (Rubin, Annals of Statistics 9, 1981) with Jeffreys' prior, so that a share of 0 or 1 moves
    area under a curve     variance of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), as that of a share of
                           n_eff = A (1 - A) / var examples, of which Wilson's interval is taken

All are for 95 % unless told otherwise, all hold the value itself, and the same input gives the same interval: the draws
are seeded. None says how much another network, trained with another seed, would differ.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FEW",
    "LARGE",
    "LEVEL",
    "NOT_COVERED",
    "Interval",
    "balanced",
    "few",
    "of_area",
    "of_mean",
    "of_share",
    "of_shares",
    "wilson",
]

Interval = tuple[float, float]
"""From, to."""

LEVEL = 0.95
RESAMPLES = 1000
LARGE = 5000
"""Examples above which a mean's bootstrap is replaced by its limit: they differ by less than the resamples do."""
BATCH = 1 << 20
"""Numbers that are drawn at once."""
FEW = 30
"""Examples below which a rate says little."""
NOT_COVERED = (
    "how far other examples of the same kind would move it. The spread between networks, trained with other seeds, is "
    "not in it"
)
"""What a reader of an interval has to know."""


def wilson(successes: float, count: float, level: float = LEVEL) -> Interval:
    """Wilson's interval of the share `successes / count`, in [0, 1]. Raises ValueError unless 0 <= successes <= count.

    `count` is above zero, and no whole number where it is an effective one.
    """
    if not 0 <= successes <= count or count <= 0:
        raise ValueError(f"wilson: {successes} of {count} is no share")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, extra = successes / count, z * z / count
    centre = share + extra / 2
    half = z * np.sqrt(share * (1 - share) / count + extra / (4 * count))
    low, high = (centre - half) / (1 + extra), (centre + half) / (1 + extra)
    # Rounding alone can leave the ends open.
    return (
        0.0 if successes == 0 else float(min(low, share)),
        1.0 if successes == count else float(max(high, share)),
    )


def of_share(hits: NDArray, level: float = LEVEL) -> Interval:
    """That of the share of True in bool[N], N > 0."""
    return wilson(int(np.sum(hits)), len(hits), level)


def of_mean(rows: NDArray, level: float = LEVEL) -> Interval | None:
    """That of the mean of float[N]; None of a single number."""
    # Imported here: who asks for help alone need not wait for it.
    from scipy.special import stdtrit

    rows = np.asarray(rows, np.float64)
    count = len(rows)
    if count < 2:
        return None
    mean, quantile = float(rows.mean()), float(stdtrit(count - 1, (1 + level) / 2))
    if count > LARGE:
        half = quantile * float(rows.std(ddof=1)) / np.sqrt(count)
        return mean - half, mean + half
    parts = [rows[places].mean(axis=1) for places in _resamples(count)]
    # A resample varies like sqrt((N - 1) / N) of what Student's t is about.
    tail = NormalDist().cdf(-quantile * np.sqrt(count / (count - 1)))
    return _between(np.concatenate(parts), tail, mean)


@lru_cache(maxsize=2)
def _resamples(count: int) -> list[NDArray[np.uint16]]:
    """Of `count` examples, up to LARGE: RESAMPLES rows, some at a time. Metrics of the same examples share them."""
    rng = np.random.default_rng(0)
    step = max(1, BATCH // count)
    return [
        rng.integers(count, size=(min(step, RESAMPLES - start), count)).astype(np.uint16)
        for start in range(0, RESAMPLES, step)
    ]


def of_shares(
    function: Callable[..., NDArray],
    *splits: NDArray,
    top: float | None = None,
    level: float = LEVEL,
) -> Interval:
    """That of `function(*shares)`, of shares that belong to different splits, or of one split to several networks.

    Each of `splits` is bool[N], or bool[N,M] of M facts about the same examples, which stay together; numbers in [0, 1]
    may stand for True and False. `function` takes the shares of all columns in order, numbers or float[R], and gives
    the value for each.

    `top`: the most that a function can reach which falls on both sides of a gap of 0, as ToW does. Draws around a gap
    of 0 lie on its sides and not on its top; so the upper end is put as far from the value as the lower one, or there.
    """
    rng = np.random.default_rng(0)
    shares: list[NDArray] = []
    drawn: list[NDArray] = []
    for split in splits:
        rows = np.asarray(split, np.float64).reshape(len(split), -1)
        shares += list(rows.mean(axis=0))
        patterns, counts = np.unique(rows, axis=0, return_counts=True)
        # Half an example of each answer is added, for every column: Jeffreys' prior.
        corners = np.array(list(itertools.product((0.0, 1.0), repeat=rows.shape[1])))
        weights = np.append(counts, np.full(len(corners), 1 / len(corners)))
        draws = rng.dirichlet(weights, RESAMPLES) @ np.concatenate([patterns, corners])
        drawn += list(draws.T)
    value = float(function(*shares))
    low, high = _between(np.asarray(function(*drawn)), (1 - level) / 2, value)
    return low, high if top is None else min(max(high, 2 * value - low), max(top, value))


def balanced(one: NDArray, other: NDArray) -> NDArray:
    """The mean of two shares, for `of_shares`."""
    return (one + other) / 2


def of_area(positive: NDArray, negative: NDArray, level: float = LEVEL) -> Interval:
    """That of the area `P(positive > negative) + P(positive = negative) / 2`, of float[Np] and float[Nn]."""
    above, below = _placements(positive, negative), 1 - _placements(negative, positive)
    area, most = float(above.mean()), len(above) + len(below)
    least = min(len(above), len(below))
    variance = sum(float(v.var(ddof=1)) / len(v) for v in (above, below) if len(v) > 1)
    spread = area * (1 - area)
    # Between the smaller group, where pairs share all their luck, and one example each.
    effective = min(max(spread / variance, least), most) if variance > 0 else least
    return wilson(area * effective, effective, level)


def few(what: str, count: int) -> str:
    """A sentence on a set `what` of fewer than FEW examples; empty of a larger one."""
    if count >= FEW:
        return ""
    point = f"{100 / count:.0f}" if count else "100"
    examples = f"{count} example{'s' * (count != 1)}"
    return f"{what} has {examples}: a rate of it moves by {point} points with one of them"


def _placements(rows: NDArray, others: NDArray) -> NDArray:
    """float[N]: of every row the share of the others below it, half of those that tie."""
    ordered = np.sort(others)
    found = np.searchsorted(ordered, rows, "left") + np.searchsorted(ordered, rows, "right")
    return found / (2.0 * len(ordered))


def _between(values: NDArray, tail: float, value: float) -> Interval:
    """Between the quantiles `tail` and `1 - tail`, and `value` with it."""
    low, high = np.quantile(values, [tail, 1 - tail])
    return min(float(low), value), max(float(high), value)
