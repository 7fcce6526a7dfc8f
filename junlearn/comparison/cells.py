"""One place of a table: the mean of a quantity over runs, and how sure it is."""

import math
from collections.abc import Collection
from typing import Literal, NamedTuple

from scipy import stats

from junlearn.metrics.aggregate import measured

__all__ = ["CONFIDENCE", "Cell", "Standing", "cell_of", "student"]

CONFIDENCE = 0.95
Standing = Literal["", "best", "tied"]


class Cell(NamedTuple):
    """A quantity over runs."""

    mean: float
    deviation: float
    """Sample standard deviation (n - 1); NaN of a single run."""
    half: float
    """Half the width of the Student interval; NaN of a single run."""
    runs: int
    standing: Standing = ""
    """tied: not significantly worse than the best of the column."""
    p: float | None = None
    """Of the test against the best, Holm-adjusted; None where it was not tested."""

    @property
    def low(self) -> float:
        """Where the interval begins."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Where the interval ends."""
        return self.mean + self.half


def student(deviation: float, runs: int) -> float:
    """Half the width of the 95 % interval of a mean: `t(0.975, n - 1) s / sqrt(n)`; NaN of a single run."""
    if runs < 2:
        return math.nan
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, runs - 1)) * deviation / math.sqrt(runs)


def cell_of(values: Collection[float]) -> Cell | None:
    """The cell of these runs, without a standing; None of none."""
    if not values:
        return None
    mean, deviation = measured(list(values))
    return Cell(mean, deviation, student(deviation, len(values)), len(values))
