"""(epsilon, delta) of two equal Gaussians whose means are `mu` standard deviations apart, by two conversions.

    "gdp"  (G1)  delta = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu)
    "rdp"  (G2)  eps = min_{a>1}  a mu^2/2 + ln(1 - 1/a) - (ln delta + ln a) / (a - 1)

G1 is exact (Balle, Wang, ICML 2018), G2 the conversion of Renyi divergences by Canonne, Kamath and Steinke (2020).
The Renyi divergence of order a of the two is a mu^2/2. G2 needs no more than a bound on it, G1 that the whole trade-off
is that of Gaussians (mu-GDP: Dong, Roth, Su, 2022): it is tighter by about a tenth.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from junlearn.errors import ConfigError

__all__ = ["Conversion", "epsilon_of", "falling_root", "log_delta_of", "mu_of", "smallest"]

Conversion = Literal["gdp", "rdp"]

ZOOMS = 6
"""Rounds of `smallest`, each of which looks at a fortieth of the range before."""
HALVINGS = 200
"""Of a bracket: more than double precision can tell apart."""


def log_delta_of(epsilon: float, mu: float, conversion: Conversion = "gdp") -> float:
    """The logarithm of delta, at most 0."""
    # Loaded when asked: the fields of methods are listed without it.
    from scipy.special import erfcx, log_ndtr, ndtr

    if mu == 0:
        return -math.inf
    if conversion == "rdp":

        def bound(a: np.ndarray) -> np.ndarray:
            return (a - 1) * (a * mu**2 / 2 - epsilon + np.log1p(-1 / a)) - np.log(a)

        return min(smallest(bound), 0.0)
    upper, lower = mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu
    if upper > 0:
        # e^eps Phi(lower) as one exponential: neither factor may overflow.
        return _log(float(ndtr(upper) - np.exp(epsilon + log_ndtr(lower))))
    # Both terms have the factor e^(-upper^2/2), and without it no digits are lost far out.
    difference = erfcx(-upper / math.sqrt(2)) - erfcx(-lower / math.sqrt(2))
    return _log(float(difference) / 2) - upper**2 / 2


def epsilon_of(mu: float, delta: float, conversion: Conversion = "gdp") -> float:
    """The smallest epsilon >= 0 with at most this delta."""
    wanted = math.log(delta)
    if mu == 0:
        return 0.0
    if conversion == "rdp":

        def bound(a: np.ndarray) -> np.ndarray:
            return a * mu**2 / 2 + np.log1p(-1 / a) - (wanted + np.log(a)) / (a - 1)

        return max(smallest(bound), 0.0)
    if log_delta_of(0.0, mu) <= wanted:
        return 0.0
    return falling_root(lambda epsilon: log_delta_of(epsilon, mu) - wanted)


def mu_of(epsilon: float, delta: float, conversion: Conversion = "gdp") -> float:
    """The largest mu that is (epsilon, delta)-close."""
    wanted = math.log(delta)
    # delta grows with mu, so it falls with the noise 1/mu.
    return 1 / falling_root(lambda noise: log_delta_of(epsilon, 1 / noise, conversion) - wanted)


def smallest(bound: Callable[[np.ndarray], np.ndarray]) -> float:
    """Min over orders a > 1 of `bound(a)`, on ever finer grids of ln(a - 1)."""
    low, high = -25.0, 35.0
    best = math.inf
    for _ in range(ZOOMS):
        grid = np.linspace(low, high, 401)
        with np.errstate(over="ignore", invalid="ignore"):
            values = bound(1 + np.exp(grid))
        values = np.where(np.isnan(values), np.inf, values)
        at, width = int(values.argmin()), (high - low) / 80
        best = min(best, float(values[at]))
        low, high = grid[at] - width, grid[at] + width
    return best


def falling_root(function: Callable[[float], float]) -> float:
    """The x > 0 from which on a falling function is at most 0. Raises ConfigError where there is none."""
    low = high = 1.0
    while function(high) > 0:
        low, high = high, 2 * high
        if high > 1e150:
            raise ConfigError("accounting: no finite number meets these bounds")
    while function(low) <= 0:
        low, high = low / 2, low
        if low < 1e-150:
            return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return high


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
