"""Churn beyond that of retraining, from predicted classes."""

from itertools import combinations, product

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import churn_excess, permutations, resampled_churn_excess


def by_hand(one, other):
    between = np.mean([(u != r).mean() for u, r in product(one, other)])
    within = [np.mean([(a != b).mean() for a, b in combinations(side, 2)]) for side in (one, other)]
    return between - np.mean(within)


@pytest.mark.parametrize("classes", [2, 7])
def test_counts_are_the_pairs(classes):
    rng = np.random.default_rng(classes)
    pool = rng.integers(0, classes, (13, 9))
    dealt = permutations(5, 8, 12, rng)
    expected = [by_hand(pool[a], pool[b]) for a, b in zip(*dealt, strict=True)]
    found = resampled_churn_excess(pool, dealt, classes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert churn_excess(pool[:5], pool[5:], classes) == pytest.approx(by_hand(pool[:5], pool[5:]))


def test_extremes():
    ones, twos = np.ones((8, 3), int), np.full((8, 3), 2)
    assert churn_excess(ones, twos, 3) == 1.0
    assert churn_excess(ones, ones, 3) == 0.0
    # Only what no single class can have is missing from the sum: other classes do not count.
    assert churn_excess(ones, twos, 50) == 1.0


def test_unbiased_under_the_null():
    rng = np.random.default_rng(0)
    found = [churn_excess(*rng.integers(0, 3, (2, 8, 20)), 3) for _ in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)
    assert min(found) < 0


def test_what_is_refused():
    ones = np.ones((8, 3), int)
    with pytest.raises(ConfigError, match="reach from 1 to 1, but there are 1"):
        churn_excess(ones, ones, 1)
    with pytest.raises(ConfigError, match="whole numbers"):
        churn_excess(ones.astype(float), ones, 3)
    with pytest.raises(ConfigError, match="at least 2 networks"):
        churn_excess(ones[:1], ones, 3)
    with pytest.raises(ConfigError, match="3 examples, retrained ones 2"):
        churn_excess(ones, ones[:, :2], 3)
