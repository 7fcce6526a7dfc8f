"""ToW of pairs of networks, and the interval over networks."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import student_interval, tow_mia_of_pairs, tow_of_pairs


@pytest.mark.parity
def test_golden(golden):
    case = golden("audit/tow")
    accuracies = case["accuracy_unlearned"], case["accuracy_retrained"]
    found = tow_of_pairs(*accuracies)
    np.testing.assert_allclose(found, case["tow"], rtol=0, atol=1e-12)
    expected = float(case["tow_mean"]), float(case["tow_margin_95"])
    assert student_interval(found) == pytest.approx(expected, abs=1e-12)
    attacked = tow_mia_of_pairs(*accuracies, case["mia_unlearned"], case["mia_retrained"])
    np.testing.assert_allclose(attacked, case["tow_mia"], rtol=0, atol=1e-12)
    margin = student_interval(attacked).margin
    assert margin == pytest.approx(case["tow_mia_margin_95"], abs=1e-12)


def test_a_perfect_unlearner_does_not_score_one():
    twins, retrained = np.random.default_rng(25).uniform(0.9, 1, size=(2, 50, 3))
    assert student_interval(tow_of_pairs(twins, retrained)).mean < 0.95
    np.testing.assert_array_equal(tow_of_pairs(twins, twins), 1)


def test_the_interval_is_over_networks():
    assert student_interval([0.5, 0.5]) == (0.5, 0)
    assert student_interval([0.0, 1.0]).margin == pytest.approx(12.706 * 0.5, abs=1e-3)
    assert student_interval([0.0, 1.0], 0.5).margin == pytest.approx(0.5)


def test_refused():
    accuracies = np.full((4, 3), 0.5)
    for wrong in (accuracies[:, :2], accuracies[:3]):
        with pytest.raises(ConfigError, match=r"retrained must be \[networks, \(forget, retain"):
            tow_of_pairs(accuracies, wrong)
    with pytest.raises(ConfigError, match="must hold probabilities, and reaches from 50 to 50"):
        tow_of_pairs(100 * accuracies, accuracies)
    with pytest.raises(ConfigError, match="3 attack shares of 4 pairs"):
        tow_mia_of_pairs(accuracies, accuracies, [0.5] * 3, [0.5] * 4)
    with pytest.raises(ConfigError, match="1 value; an interval needs at least 2"):
        student_interval([0.5])
