"""AUC and TPR from one sort, against counting pairs and thresholds."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble.pooled_curve import allowed_alarms, pooled_curve


def by_hand(positive, negative, allowed):
    wins = np.mean(positive[:, None] > negative) + np.mean(positive[:, None] == negative) / 2
    thresholds = np.append(np.unique(np.concatenate([positive, negative])), np.inf)
    rates = [(positive >= t).mean() for t in thresholds if (negative >= t).sum() <= allowed]
    return wins, max(rates)


@pytest.mark.parametrize("digits", [0, 1, 15])
@pytest.mark.parametrize("allowed", [1, 3, 40])
def test_with_and_without_ties(digits, allowed):
    rng = np.random.default_rng(digits)
    positive = np.round(rng.normal(size=60) + 0.5, digits)
    negative = np.round(rng.normal(size=45), digits)
    auc, rates = pooled_curve(positive, negative, [allowed])
    expected = by_hand(positive, negative, allowed)
    assert (auc, rates[0]) == pytest.approx(expected, abs=1e-12)


def test_all_equal_and_signs_of_zero():
    zeros = np.array([0.0, -0.0, 0.0])
    assert pooled_curve(zeros, -zeros, [1, 3]) == (0.5, [0.0, 1.0])


def test_all_signs_and_sizes_are_in_order():
    scores = np.array([-1e300, -2.0, -1e-300, 0.0, 1e-300, 3.0, 1e300])
    for place in range(1, 7):
        auc, rates = pooled_curve(scores[place:], scores[:place], [1])
        assert auc == 1.0 and rates == [1.0]
        assert pooled_curve(scores[:place], scores[place:], [1])[0] == 0.0


def test_rates_that_so_few_scores_cannot_have():
    assert allowed_alarms(0.01, 960) == 9
    assert allowed_alarms(0.001, 1000) == 1
    assert allowed_alarms(0.07, 100) == 7  # The product rounds to above 7, that below to below 29.
    assert allowed_alarms(0.29, 100) == 29
    with pytest.raises(ConfigError, match=r"TPR at FPR 0\.1 % needs 1000 scores; there are 640"):
        allowed_alarms(0.001, 640)
