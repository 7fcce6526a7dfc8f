"""Bands, p values and Holm's adjustment, by hand."""

import numpy as np
import pytest

from junlearn.audit import nulls


def test_a_p_value_counts_the_extreme_and_is_never_zero():
    permuted = np.array([1.0, 2.0, 3.0, 4.0])
    assert nulls.p_value(5.0, permuted, "large") == 1 / 5
    assert nulls.p_value(3.0, permuted, "large") == 3 / 5
    assert nulls.p_value(3.0, permuted, "small") == 4 / 5
    assert nulls.p_value(-3.5, permuted, "both") == 2 / 5


def test_the_rounding_of_a_sum_does_not_decide():
    assert nulls.p_value(0.3, np.array([0.1 + 0.2, 0.3 - 1e-13]), "large") == 1.0


def test_a_band_is_quantiles_and_says_where_it_comes_from():
    found = nulls.band(np.arange(1001.0), "split")
    assert (found.median, found.low, found.high, found.draws) == (500, 25, 975, 1001)
    assert found.plain()["source"] == "split"


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ({"a": 0.01, "b": 0.04, "c": 0.03}, {"a": 0.03, "b": 0.06, "c": 0.06}),
        ({"a": 0.5, "b": 0.9}, {"a": 1.0, "b": 1.0}),
        ({}, {}),
    ],
)
def test_holm_by_hand(p, adjusted):
    assert nulls.holm(p) == pytest.approx(adjusted)


def test_holm_keeps_the_order_and_is_at_most_bonferroni():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = dict(enumerate(rng.random(6)))
        found = nulls.holm(p)
        assert all(p[i] <= found[i] <= min(1, 6 * p[i]) + 1e-12 for i in p)
        order = sorted(p, key=p.get)
        assert sorted(found.values()) == [found[i] for i in order]


def test_better_than_retraining_is_beyond_the_better_end_of_the_band():
    permuted = np.linspace(1, 2, 999)
    null = nulls.band(permuted, "split")
    assert nulls.closer(0.0, permuted, null, "large")
    assert not nulls.closer(3.0, permuted, null, "large")
    assert nulls.closer(3.0, permuted, null, "small")
    assert not nulls.closer(0.0, permuted, null, "both")
    # 5 of 1000 are enough for one test, and not for four.
    few = np.concatenate([np.zeros(4), permuted[4:]])
    assert nulls.closer(0.0, few, null, "large") and not nulls.closer(0.0, few, null, "large", 4)
