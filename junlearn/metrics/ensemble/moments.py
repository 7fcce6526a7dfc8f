"""Moments of the margins: how far the unlearned networks' are moved, and how much wider or narrower they spread.

    mean shift          = mean_i (mean_u - mean_r) / sqrt((var_u + var_r) / 2)
    log variance ratio  = median_i ln(var_u / var_r)

Variances with n - 1. Both are 0 on average under perfect unlearning. The mean shift sees a shift that all examples
share better than any other metric here, and nothing else. A negative log variance ratio says that unlearned networks
agree too much: one original for all, or a method without noise.
"""

from typing import NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    ensemble,
    pieces,
    pool_of,
    selection,
)

__all__ = ["Moments", "moments", "resampled_moments", "rho", "signal_sd"]

FLOOR = 1e-6
"""The least standard deviation, in units of max(1, that of all networks together), as in the fitted attacks."""


class Moments(NamedTuple):
    """Of one ensemble against another."""

    mean_shift: float
    """In standard deviations; positive where unlearned networks have the larger margins."""
    log_variance_ratio: float
    """In nats; negative where unlearned networks spread less."""
    shift: Floats
    """float64[n]: the mean shift of every example."""
    log_ratio: Floats
    """float64[n]."""


def moments(unlearned: np.ndarray, retrained: np.ndarray) -> Moments:
    """Moments from margins `[N,n]` and `[N',n]`, both N at least 2.

    A variance below that of FLOOR counts as that: where a side is constant the values are large and finite, where both
    are constant and equal they are 0. Raises ConfigError if margins are not finite, or a side has one network.
    """
    pool, dealt = pool_of(unlearned, retrained)
    shift, ratio = _by_example(pool, dealt)
    return Moments(float(shift.mean()), float(np.median(ratio)), shift[0], ratio[0])


def resampled_moments(pool: np.ndarray, relabelled: Relabelled) -> dict[str, Floats]:
    """`mean_shift` and `log_variance_ratio`, float64[P] each, for each way to deal out the pool `[M,n]`.

    Here a network may be dealt out more than once, or to no side: a bootstrap over the networks.
    """
    rows = ensemble("pool", pool)
    found: dict[str, list[Floats]] = {"mean_shift": [], "log_variance_ratio": []}
    for piece in pieces(len(relabelled.first), 2 * 8 * rows.shape[1]):
        shift, ratio = _by_example(rows, Relabelled(*(side[piece] for side in relabelled)))
        found["mean_shift"].append(shift.mean(axis=1))
        found["log_variance_ratio"].append(np.median(ratio, axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _by_example(pool: Floats, relabelled: Relabelled) -> tuple[Floats, Floats]:
    """`(shift, log variance ratio)` [P,n]."""
    if min(side.shape[1] for side in relabelled) < 2:
        raise ConfigError("moments: a variance needs at least 2 networks a side")
    # About the pooled mean, sums of squares lose no digits to a large common value.
    centred = pool - pool.mean(axis=0)
    squares = centred**2
    least = (FLOOR * np.maximum(1.0, centred.std(axis=0, ddof=1))) ** 2
    means, variances = [], []
    for side in relabelled:
        number = side.shape[1]
        chosen = selection(side, len(pool))
        mean = chosen @ centred / number
        variance = (chosen @ squares - number * mean**2) / (number - 1)
        means.append(mean)
        variances.append(np.maximum(variance, least))
    shift = (means[0] - means[1]) / np.sqrt((variances[0] + variances[1]) / 2)
    return shift, np.log(variances[0] / variances[1])


def rho(margins: np.ndarray) -> float:
    """How much the examples of a network move together: `(n var_s(mean_i Z_si) - 1) / (n - 1)`, Z standardised.

    Margins `[N,n]`; Z has mean 0 and variance 1 (n - 1) for every example. It is the mean correlation between two
    examples of the same network. Examples with equal margins everywhere are left out; fewer than two that vary give 0.
    Raises ConfigError if margins are not finite, or there is one network.
    """
    rows = ensemble("margins", margins)
    deviation = _deviations(rows)
    varied = deviation > 0
    examples = int(varied.sum())
    if examples < 2:
        return 0.0
    z = (rows[:, varied] - rows[:, varied].mean(axis=0)) / deviation[varied]
    return float((examples * z.mean(axis=1).var(ddof=1) - 1.0) / (examples - 1))


def signal_sd(margins: np.ndarray) -> float:
    """The median over the examples of the standard deviation (n - 1) of margins `[N,n]` over the networks."""
    return float(np.median(_deviations(ensemble("margins", margins))))


def _deviations(rows: Floats) -> Floats:
    """Standard deviation float64[n] over the networks; exactly 0 where all are equal."""
    if len(rows) < 2:
        raise ConfigError("moments: a variance needs at least 2 networks")
    return np.where(np.ptp(rows, axis=0) > 0, rows.std(axis=0, ddof=1), 0.0)
