"""Who is best, and who is not significantly worse: paired t tests, corrected as Holm does."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import stats

__all__ = ["LEVEL", "PAIRS", "Contest", "contest", "holm", "paired"]

LEVEL = 0.05
PAIRS = 3
"""Runs that two methods must share to be tested against one another."""

N = TypeVar("N")
U = TypeVar("U")


class Contest(NamedTuple):
    """The outcome in one column."""

    best: tuple[str, ...]
    """The smallest mean score; several where they are equal."""
    p: dict[str, float]
    """Of each method that could be tested against the best: the Holm-adjusted p value."""
    untested: tuple[str, ...]
    """Those that share too few runs with the best."""
    means: dict[str, float]
    """Of each method its mean score."""

    @property
    def tied(self) -> set[str]:
        """Those that are not significantly worse."""
        return {name for name, p in self.p.items() if p > LEVEL}


def contest(scores: Mapping[str, Mapping[U, float]]) -> Contest:
    """Of each method its score in every run, the smaller the better: the best, and what is not told from it."""
    means = {name: _mean(runs.values()) for name, runs in scores.items() if runs}
    if not means:
        return Contest((), {}, (), {})
    least = min(means.values())
    best = tuple(name for name, mean in means.items() if mean == least)
    own, raw, untested = scores[best[0]], {}, []
    for name in means:
        if name in best:
            continue
        common = [unit for unit in scores[name] if unit in own]
        if len(common) < PAIRS:
            untested.append(name)
        else:
            raw[name] = paired([scores[name][u] for u in common], [own[u] for u in common])
    return Contest(best, holm(raw), tuple(untested), means)


def _mean(values: Iterable[float]) -> float:
    """The mean to twelve digits: what is left is rounding, which made equal methods unequal."""
    return float(f"{statistics.fmean(values):.12g}")


def paired(one: Sequence[float], other: Sequence[float]) -> float:
    """The p value of the two-sided paired t test; of differences that are all the same, 1 if they vanish and else 0."""
    gaps = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    if np.ptp(gaps) <= 1e-12 * max(1.0, float(np.abs(gaps).max())):
        return 1.0 if math.isclose(float(gaps.mean()), 0.0, abs_tol=1e-12) else 0.0
    return float(stats.ttest_1samp(gaps, 0.0).pvalue)


def holm(p: Mapping[N, float]) -> dict[N, float]:
    """Holm's adjusted p values: sorted, the i-th of m is `max over j <= i of (m - j + 1) p_j`, at most 1."""
    adjusted, largest = {}, 0.0
    for place, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - place) * p[name]))
        adjusted[name] = largest
    return adjusted
