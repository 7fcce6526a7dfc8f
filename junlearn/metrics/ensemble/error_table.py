"""From counts of errors to epsilon: the table that forgetting quality looks its values up in.

A rule that calls networks "positive" or not makes `fp` false positives among `N` negatives and `fn` misses among `N'`
positives. It bounds the epsilon of (epsilon, delta)-unlearning as if its rates were the true ones:

    eps(fp, fn) = max(0, ln(1 - delta - fpr) - ln fnr, ln(1 - delta - fnr) - ln fpr)

A rule without errors gives infinity; one with errors of one kind alone is dropped (Triantafillou et al. 2024).
"""

import math
from typing import NamedTuple

import numpy as np

from junlearn.metrics.context import Floats

__all__ = ["CAP", "DELTA", "DROPPED", "ErrorTable", "error_table", "quality_of"]

DELTA = 1e-5
CAP = 50.0
"""The largest epsilon: what a rule without errors counts for."""
DROPPED = 0
"""The code of a rule that says nothing."""


class ErrorTable(NamedTuple):
    """Epsilon by counts of errors, as small numbers in the same order."""

    codes: np.ndarray
    """uint16 or uint32[(N + 1)(N' + 1)]: at `fp (N' + 1) + fn` the place of epsilon in `values`."""
    values: Floats
    """float64[C], ascending but for the first, which is CAP: an example of which every rule was dropped."""


def error_table(negatives: int, positives: int) -> ErrorTable:
    """All that `negatives` and `positives` networks can give."""
    fpr = np.arange(negatives + 1)[:, None] / negatives
    fnr = np.arange(positives + 1)[None, :] / positives
    # With one kind of errors gone, the terms without meaning are NaN: `fmax` passes over them.
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.log(1 - DELTA - fpr) - np.log(fnr), np.log(1 - DELTA - fnr) - np.log(fpr)
        epsilon = np.minimum(np.fmax(np.fmax(*terms), 0.0), CAP)
    epsilon[0, 0] = CAP
    dropped = np.zeros(epsilon.shape, bool)
    dropped[0, 1:] = dropped[1:, 0] = True
    distinct = np.unique(epsilon[~dropped])
    codes = 1 + np.searchsorted(distinct, epsilon)
    codes[dropped] = DROPPED
    kind = np.uint16 if len(distinct) < np.iinfo(np.uint16).max else np.uint32
    return ErrorTable(codes.astype(kind).ravel(), np.concatenate([[CAP], distinct]))


def quality_of(epsilon: Floats, networks: int) -> Floats:
    """Score of every epsilon: `2^-floor(2 eps)` below `M = ceil(ln(networks - 1))`, 0 from there on."""
    largest = math.ceil(math.log(networks - 1)) if networks > 1 else 0
    return np.where(epsilon < largest, 0.5 ** np.floor(2.0 * epsilon), 0.0)
