"""The ROC of many scores at once, from one sort: what a test with a thousand permutations can afford."""

from collections.abc import Iterable

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats

__all__ = ["allowed_alarms", "pooled_curve"]

WITHOUT_SIGN = np.int64(2**63 - 1)


def allowed_alarms(fpr: float, negatives: int) -> int:
    """How many of the negatives may be called positive at a false positive rate.

    Raises ConfigError where that is none: the rate cannot be told from 0.
    """
    if fpr * negatives < 1:
        needed = int(np.ceil(1 / fpr)) if fpr > 0 else "infinitely many"
        raise ConfigError(
            f"TPR at FPR {100 * fpr:g} % needs {needed} scores; there are {negatives}"
        )
    # The product may round to just below a whole number.
    return int(np.floor(fpr * negatives * (1 + 1e-12)))


def pooled_curve(
    positive: Floats, negative: Floats, alarms: Iterable[int]
) -> tuple[float, list[float]]:
    """`(AUC, [TPR])` of scores of any shape; a TPR is the largest with at most so many false alarms.

    Ties count for half in the AUC and fall to one side of every threshold. Scores that differ in the last bit of
    float64 alone are tied: that bit holds the kind of the score through the sort.
    """
    keys = np.empty(positive.size + negative.size, np.int64)
    _write_keys(positive, 1, keys[: positive.size])
    _write_keys(negative, 0, keys[positive.size :])
    keys.sort()
    members = np.flatnonzero(keys & 1)
    keys >>= 1
    if (keys[1:] == keys[:-1]).any():
        return _tied_curve(keys, members, negative.size, alarms)
    # Without ties, the others below each member are the places in front of it less the members there.
    below = members - np.arange(len(members))
    first = np.searchsorted(below, [negative.size - number for number in alarms])
    rates = [float((len(members) - place) / len(members)) for place in first]
    return float(below.mean() / negative.size), rates


def _tied_curve(
    keys: np.ndarray, members: np.ndarray, others: int, alarms: Iterable[int]
) -> tuple[float, list[float]]:
    """The same where some of the sorted keys are equal; `members` are the places of the positive ones."""
    # A threshold may lie in front of the first score, between two that differ, and behind the last.
    places = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    members_below = np.searchsorted(members, places)
    others_below = places - members_below
    wins = np.diff(members_below) @ (others_below[1:] + others_below[:-1])
    first = np.searchsorted(others_below, [others - number for number in alarms])
    rates = [float((len(members) - members_below[place]) / len(members)) for place in first]
    return float(wins / (2 * len(members) * others)), rates


def _write_keys(scores: Floats, label: int, keys: np.ndarray) -> None:
    """Whole numbers in the order of the scores, with the label in the last bit. Zero has one sign."""
    bits = (scores + 0.0).ravel().view(np.int64)
    np.right_shift(bits, 63, out=keys)
    keys &= WITHOUT_SIGN
    keys ^= bits
    keys &= -2
    keys |= label
