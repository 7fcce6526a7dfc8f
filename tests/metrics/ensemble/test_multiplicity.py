"""P values by permutation, and flags at a false discovery rate."""

import numpy as np
import pytest
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import benjamini_hochberg, permutation_p


def test_p_counts_the_null_and_the_value():
    null = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 2.0]])
    np.testing.assert_allclose(permutation_p([1.0, 3.0], null), [3 / 4, 1 / 4])
    assert permutation_p([0.1 + 0.2], [[0.3]]) == 1


def test_flags_as_adjusted_p_values():
    generator = np.random.default_rng(26)
    for _ in range(50):
        p = np.round(generator.random(12) ** 3, 2)
        adjusted = stats.false_discovery_control(p)
        clear = np.abs(adjusted - 0.1) > 1e-9
        flagged = benjamini_hochberg(p)
        np.testing.assert_array_equal(flagged[clear], (adjusted <= 0.1)[clear])
    assert benjamini_hochberg([0.1]).all() and not benjamini_hochberg([0.11]).any()


def test_refused():
    with pytest.raises(ConfigError, match="2 values, and a null of 1"):
        permutation_p([1.0, 2.0], [[1.0]])
    with pytest.raises(ConfigError, match="must hold probabilities"):
        benjamini_hochberg([1.5])
    with pytest.raises(ConfigError, match="rate must lie between 0 and 1"):
        benjamini_hochberg([0.5], 0.0)
