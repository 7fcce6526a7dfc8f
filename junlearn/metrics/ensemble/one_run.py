"""Epsilon from one network: many coins were tossed for it, and an attacker guesses some of them.

Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", 2023. In design random a network's m
targets are each included and forgotten, or never seen, by independent coins. If the map from coins to network were
(epsilon, delta) private, r guesses on coins would seldom be right v times.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from scipy.special import expit

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given
from junlearn.metrics.ensemble.ulira import KEPT, UNLEARNED

__all__ = ["Guesses", "OneRun", "epsilon_one_run", "guesses", "one_run", "one_run_p"]

PRECISION = 1e-9


class Guesses(NamedTuple):
    """How many coins were guessed, and how many of them rightly."""

    made: int
    right: int


class OneRun(NamedTuple):
    """Bounds for *unlearning*, over runs: half of what bounds the map from coins to network."""

    median: float
    low: float
    high: float
    by_run: Floats


def one_run_p(epsilon: float, coins: int, made: int, right: int, delta: float = 1e-5) -> float:
    """The largest probability of `right` or more right guesses among `made`, if the map is (epsilon, delta) private.

    P[B >= v] + 2 m delta max_{1 <= i <= v} P[v > B >= v - i] / i, B binomial of r trials and rate e^eps / (1 + e^eps).
    Raises ConfigError unless 0 <= v <= r <= m, m >= 1, epsilon >= 0 and 0 <= delta <= 1.
    """
    if not 0 <= right <= made <= coins or coins < 1:
        raise ConfigError(f"one run: {right} right of {made} guesses on {coins} coins")
    if not (epsilon >= 0 and 0 <= delta <= 1):
        raise ConfigError(f"one run: epsilon {epsilon} and delta {delta} must not be negative")
    law = stats.binom(made, expit(epsilon))
    p = float(law.sf(right - 1))
    if delta and right:
        below = np.cumsum(law.pmf(np.arange(right - 1, -1, -1)))
        p += 2 * coins * delta * float((below / np.arange(1, right + 1)).max())
    return min(p, 1.0)


def epsilon_one_run(
    coins: int, made: int, right: int, *, delta: float = 1e-5, alpha: float = 0.05
) -> float:
    """The largest epsilon with `one_run_p` below alpha, to 1e-9; 0 if there is none.

    It bounds the map from coins to network. If unlearning is epsilon-indistinguishable from retraining, that map is
    2 epsilon: halve the bound (`one_run` does). Errors as of `one_run_p`, and for alpha outside (0, 1).
    """
    given.share(alpha, "one run: alpha")
    low, high = 0.0, 1.0
    if one_run_p(low, coins, made, right, delta) >= alpha:
        return 0.0
    while one_run_p(high, coins, made, right, delta) < alpha:
        low, high = high, 2 * high
    while high - low > PRECISION:
        middle = (low + high) / 2
        if one_run_p(middle, coins, made, right, delta) < alpha:
            low = middle
        else:
            high = middle
    return low


def guesses(llr: Any, unlearned: Any, share: float = 0.1) -> Guesses:
    """Guesses on the extremes of one network's ratios: "unlearned" for the highest, "never seen" for the lowest.

    `llr` float[m] by a fit without this run, `unlearned` bool[m] the coins; `share` of the m is guessed at each end, at
    least one. Raises ConfigError for fewer than 2 coins, a share above 1/2, and ratios that are not finite.
    """
    ratios = given.numbers(llr, "one run: llr", ("coins",))
    coins = given.flags(unlearned, "one run: unlearned", ratios.shape)
    if not 0 < share <= 0.5 or len(ratios) < 2:
        raise ConfigError(f"one run: a share {share} at each end of {len(ratios)} coins")
    k = max(1, int(share * len(ratios)))
    order = np.argsort(ratios, kind="stable")
    right = coins[order[-k:]].sum() + (~coins[order[:k]]).sum()
    return Guesses(2 * k, int(right))


def one_run(
    llr: Any, status: Any, *, share: float = 0.1, delta: float = 0.0, alpha: float = 0.05
) -> OneRun:
    """Median and range over runs of the bound for unlearning that each run gives by itself.

    `llr` float[S, n] and `status` int[S, n] as of `ulira`; what was kept is no coin. Not the maximum: it would need a
    correction for the choice. Errors as of `guesses`.
    """
    kinds = given.whole(status, "one run: status", given.shape_of(status, "one run: status"))
    shape = given.shape_of(llr, "one run: llr")
    if kinds.ndim != 2 or shape != kinds.shape:
        raise ConfigError(
            f"one run: llr and status must be [runs, examples], not {list(shape)} and {list(kinds.shape)}"
        )
    bounds = []
    for row, kind in zip(np.asarray(llr), kinds, strict=True):
        judged = kind != KEPT
        found = guesses(row[judged], kind[judged] == UNLEARNED, share)
        bounds.append(epsilon_one_run(int(judged.sum()), *found, delta=delta, alpha=alpha) / 2)
    array = np.array(bounds)
    return OneRun(float(np.median(array)), float(array.min()), float(array.max()), array)
