"""Null bands and p values whose unit is a network.

A band says what a perfect unlearner scores: the statistic between random halves of the retrained networks. A p value
decides: whole networks of both sides change places. Both are exact or nearly so for any dependence between examples,
as an interval over examples is not.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = ["Band", "Direction", "band", "closer", "extreme", "holm", "p_value"]

Direction = Literal["large", "small", "both"]
"""What speaks against retraining: a large value, a small one, or one that is far from 0 on either side."""
INTERVAL = (2.5, 97.5)


class Band(NamedTuple):
    """What a perfect unlearner scores."""

    median: float
    low: float
    """The 2.5 % quantile."""
    high: float
    """The 97.5 % quantile."""
    sd: float
    source: str
    """split: halves of the retrained networks. pooled: of the unlearned and the retrained ones. coins: coins of the
    design random, permuted."""
    draws: int

    def plain(self) -> dict[str, Any]:
        """As a record has it."""
        return self._asdict()


def band(values: np.ndarray, source: str) -> Band:
    """The band of a statistic from float[P] of it under the null."""
    low, median, high = np.percentile(values, [INTERVAL[0], 50, INTERVAL[1]])
    sd = float(np.std(values, ddof=1))
    return Band(float(median), float(low), float(high), sd, source, len(values))


def extreme(value: float | np.ndarray, direction: Direction) -> Any:
    """The value on a scale on which the larger one speaks against retraining."""
    if direction == "both":
        return np.abs(value)
    return np.asarray(value) if direction == "large" else np.negative(value)


def p_value(value: float, permuted: np.ndarray, direction: Direction) -> float:
    """`(1 + #{permuted at least as extreme}) / (1 + P)`: exact under the null, never 0.

    Values that are equal but for the rounding of sums in another order count as equal.
    """
    scale = extreme(permuted, direction)
    own = float(extreme(value, direction))
    slack = 1e-9 * max(1.0, abs(own))
    return (1 + int(np.sum(scale >= own - slack))) / (1 + len(permuted))


def closer(
    value: float, permuted: np.ndarray, null: Band, direction: Direction, tests: int = 1
) -> bool:
    """Whether the two sides are more alike than retraining is to itself: better than the band, with p below 0.01.

    The 0.01 are shared by `tests` tests that are asked. A statistic that is best at 0, between two bad sides, has no
    such end.
    """
    if direction == "both":
        return False
    better = value < null.low if direction == "large" else value > null.high
    other: Direction = "small" if direction == "large" else "large"
    return bool(better and p_value(value, permuted, other) < 0.01 / tests)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """P values adjusted for all tests of the family together (Holm, 1979); each at most 1, in the order of `p`."""
    order = sorted(p, key=p.__getitem__)
    adjusted, least = {}, 0.0
    for rank, name in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in p}
