"""Forgetting quality threshold by threshold, as its definition reads: slow, and the judge of the fast form."""

import math

import numpy as np

DELTA = 1e-5


def plain_epsilon(unlearned: np.ndarray, retrained: np.ndarray) -> tuple[float, bool]:
    """`(epsilon, decided)` of one example from float64[N] of either side."""
    ranges = np.ptp(unlearned), np.ptp(retrained)
    if max(ranges) == 0:
        return (0.0 if unlearned[0] == retrained[0] else 50.0), True
    if min(ranges) / max(ranges) < 0.01:
        return 50.0, True
    positive, negative = unlearned, retrained
    if np.median(retrained) > np.median(unlearned):
        positive, negative = retrained, unlearned
    values = np.concatenate([_single(positive, negative), _double(positive, negative)])
    return (min(values.max(), 50.0), True) if len(values) else (50.0, False)


def _single(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    low, high = min(positive.min(), negative.min()), max(positive.max(), negative.max())
    thresholds = np.linspace(low, high, math.ceil(100 * (high - low))).astype(np.float32)
    thresholds = thresholds.astype(np.float64)
    called = len(negative) - np.searchsorted(np.sort(negative), thresholds, "left")
    missed = np.searchsorted(np.sort(positive), thresholds, "left")
    return _kept(called, missed, len(positive))


def _double(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    inside, outside = negative, positive
    if np.ptp(positive) < np.ptp(negative):
        inside, outside = positive, negative
    width = np.ptp(inside)
    first, last = (inside.min() + width) - 2, inside.max() + 2
    rights = np.linspace(first, last, math.ceil(100 * (last - first)))
    lefts = np.linspace(rights - width - 2, rights - width + 2, 400)
    enclosed = [
        np.maximum(np.searchsorted(side, rights, "right") - np.searchsorted(side, lefts, "left"), 0)
        for side in (np.sort(outside), np.sort(inside))
    ]
    return _kept(enclosed[0].ravel(), len(inside) - enclosed[1].ravel(), len(inside))


def _kept(called: np.ndarray, missed: np.ndarray, size: int) -> np.ndarray:
    """Epsilons of the rules with both errors or none; of rules with the same errors, one."""
    fpr, fnr = (n / size for n in np.divmod(np.unique(called * (size + 1) + missed), size + 1))
    perfect = (fpr == 0) & (fnr == 0)
    kept = (fpr > 0) & (fnr > 0)
    fpr, fnr = fpr[kept], fnr[kept]
    with np.errstate(invalid="ignore", divide="ignore"):
        one = np.log(1 - DELTA - fpr) - np.log(fnr)
        other = np.log(1 - DELTA - fnr) - np.log(fpr)
    values = np.fmax(np.fmax(one, other), 0.0)
    return np.concatenate([values, np.full(perfect.sum(), np.inf)])
