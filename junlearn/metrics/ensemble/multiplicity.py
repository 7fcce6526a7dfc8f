"""Many examples, each with a test: p values from permutations, and which of them to flag."""

from typing import Any

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given

__all__ = ["benjamini_hochberg", "permutation_p"]


def permutation_p(value: Any, null: Any) -> Floats:
    """float64[n]: `(1 + #{null >= value}) / (P + 1)` for each of n values, one-sided, large values being extreme.

    `value` float[n], `null` float[P, n] of P permutations. Raises ConfigError for other shapes and for NaN.
    """
    values = given.numbers(value, "permutation_p: value", ("examples",))
    nulls = given.numbers(null, "permutation_p: null", ("permutations", "examples"))
    if nulls.shape[1] != len(values):
        raise ConfigError(f"permutation_p: {len(values)} values, and a null of {nulls.shape[1]}")
    # Values that are equal but for rounding count as equal.
    close = 1e-12 * np.maximum(1.0, np.abs(values))
    return (1 + (nulls >= values - close).sum(axis=0)) / (len(nulls) + 1)


def benjamini_hochberg(p: Any, rate: float = 0.1) -> np.ndarray:
    """bool[n]: the examples to flag so that at most `rate` of the flags are expected to be false.

    The k smallest p values, k the largest with p_(k) <= k rate / n (Benjamini and Hochberg, 1995). Raises ConfigError
    unless p float[n] and `rate` lie in [0, 1] and (0, 1).
    """
    values = given.probabilities(p, "benjamini_hochberg: p", ("examples",))
    given.share(rate, "benjamini_hochberg: rate")
    order = np.sort(values)
    below = np.flatnonzero(order <= rate * np.arange(1, len(order) + 1) / len(order))
    return values <= order[below[-1]] if len(below) else np.zeros(len(values), bool)
