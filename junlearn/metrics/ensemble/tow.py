"""Tug of war over an ensemble: accuracies of unlearned networks beside those of retrained ones, pair by pair.

Zhao et al., "What makes unlearning hard and what to do about it", 2024. A perfect unlearner does not score 1: two
retrained networks differ too. Its value is the same of twins, `tow_of_pairs(twin, retrained)`.
"""

from typing import Any, NamedTuple

from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.aggregate import tug_of_war
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given

__all__ = ["MeanMargin", "student_interval", "tow_mia_of_pairs", "tow_of_pairs"]


class MeanMargin(NamedTuple):
    """A mean over networks and half the width of its interval."""

    mean: float
    margin: float


def tow_of_pairs(unlearned: Any, retrained: Any) -> Floats:
    """float64[N]: `(1 - |gap forget|)(1 - |gap retain|)(1 - |gap test|)` of each pair (U_i, A_i).

    Accuracies float[N, 3] in [0, 1], on the forget set, the retain set and the test set. Raises ConfigError for other
    shapes and numbers.
    """
    gaps = _accuracies(unlearned, "unlearned") - _accuracies(retrained, "retrained", unlearned)
    return tug_of_war(*gaps.T)


def tow_mia_of_pairs(
    unlearned: Any, retrained: Any, share_unlearned: Any, share_retrained: Any
) -> Floats:
    """float64[N]: `tow_of_pairs` with an attack's shares float[N] in the place of the accuracies on the forget set."""
    gaps = _accuracies(unlearned, "unlearned") - _accuracies(retrained, "retrained", unlearned)
    shares = [
        given.probabilities(value, f"tow: share_{name}", ("networks",))
        for name, value in (("unlearned", share_unlearned), ("retrained", share_retrained))
    ]
    for share in shares:
        if len(share) != len(gaps):
            raise ConfigError(f"tow: {len(share)} attack shares of {len(gaps)} pairs")
    gaps[:, 0] = shares[0] - shares[1]
    return tug_of_war(*gaps.T)


def student_interval(values: Any, level: float = 0.95) -> MeanMargin:
    """The mean of float[N], one value a network or pair, and the margin of its Student t interval, N - 1 degrees of
    freedom.

    Raises ConfigError for fewer than 2 values, and for numbers that are not finite.
    """
    array = given.numbers(values, "student_interval: values", ("networks",))
    given.share(level, "student_interval: level")
    if len(array) < 2:
        raise ConfigError("student_interval: 1 value; an interval needs at least 2")
    quantile = float(stats.t.ppf(0.5 + level / 2, len(array) - 1))
    return MeanMargin(float(array.mean()), quantile * float(array.std(ddof=1)) / len(array) ** 0.5)


def _accuracies(value: Any, name: str, like: Any = None) -> Floats:
    array = given.probabilities(value, f"tow: {name}", ("networks", "sets"))
    if array.shape[1] != 3 or (
        like is not None and array.shape != given.shape_of(like, "tow: unlearned")
    ):
        raise ConfigError(
            f"tow: {name} must be [networks, (forget, retain, test)], one row a pair, not of shape {list(array.shape)}"
        )
    return array
