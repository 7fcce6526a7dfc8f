"""Several tables at once: the rank of each method in each, and whether ranks differ by more than chance."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["FEWEST", "Ranks", "ranked"]

FEWEST = 3
"""Methods and tables from which on Friedman's statistic is computed."""


class Ranks(NamedTuple):
    """Of one column."""

    means: dict[str, float]
    """Of each method that is in all tables: its mean rank, 1 is the best; equal scores share a rank. Empty where there
    are fewer than two, which nothing can be said of."""
    statistic: float | None = None
    """Friedman's chi-square, corrected for ties; None where there are too few methods or tables."""
    p: float | None = None


def ranked(tables: Sequence[Mapping[str, float]]) -> Ranks:
    """Of each table the score of each method, the smaller the better."""
    names = [name for name in tables[0] if all(name in table for table in tables)]
    if len(names) < 2:
        return Ranks({})
    scores = np.array([[table[name] for name in names] for table in tables])
    ranks = stats.rankdata(scores, axis=1)
    means = dict(zip(names, ranks.mean(0).tolist(), strict=True))
    # Where every table is one tie there is nothing to divide by.
    if min(scores.shape) < FEWEST or np.ptp(ranks) == 0:
        return Ranks(means)
    found = stats.friedmanchisquare(*scores.T)
    return Ranks(means, float(found.statistic), float(found.pvalue))
