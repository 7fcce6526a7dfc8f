"""Curves and rates: conventions, ties, the exact law by chance, and many vectors at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    best_accuracy,
    rates_of_many,
    roc,
    roc_area,
    roc_curve,
    tpr_at,
    tpr_null,
)
from junlearn.metrics.ensemble.roc import CONVENTIONS
from junlearn.metrics.membership import area_under_curve

scored = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({member for _, member in rows}) == 2
)


@pytest.mark.parity
def test_golden(golden):
    case = golden("audit/roc")
    score, member = case["score"], case["member"]
    assert roc_area(score, member) == pytest.approx(case["auc"], abs=1e-12)
    assert best_accuracy(score, member) == pytest.approx(case["accuracy"], abs=1e-12)
    for convention in CONVENTIONS:
        for q in (0.001, 0.01, 0.1):
            found = tpr_at(score, member, q, convention, reachable=False)
            assert found == pytest.approx(case[f"{convention}_{q}"], abs=1e-12), (convention, q)


@settings(max_examples=60, deadline=None)
@given(scored)
def test_all_values_from_their_definitions(rows):
    score, member = np.array([s for s, _ in rows], float), np.array([m for _, m in rows])
    points = [
        ((score[~member] >= t).mean(), (score[member] >= t).mean()) for t in [*set(score), np.inf]
    ]
    assert sorted(points) == sorted(zip(*roc_curve(score, member), strict=True))
    assert best_accuracy(score, member) == pytest.approx(max((1 + t - f) / 2 for f, t in points))
    expected = area_under_curve(score[member], score[~member])
    assert roc_area(score, member) == pytest.approx(expected)
    assert roc_area(-score, member) == pytest.approx(1 - expected)
    for q in (0.2, 0.5):
        step = max(t for f, t in points if f <= q)
        assert tpr_at(score, member, q, reachable=False) == step
        # An increasing function of the scores changes nothing.
        assert tpr_at(np.exp(score), member, q, reachable=False) == step


def test_many_at_once_are_each_by_itself(monkeypatch):
    monkeypatch.setattr(roc, "BATCH", 100)
    generator = np.random.default_rng(1)
    tied = generator.integers(0, 9, size=(7, 40)).astype(float)
    members = generator.random((7, 40)) < 0.4
    for scores in (tied, generator.normal(size=(7, 40))):
        for several, labels in ((scores, members), (scores[0], members), (scores, members[0])):
            found = rates_of_many(several, labels, (0.05, 0.3))
            for i in range(7):
                row = scores[i] if np.ndim(several) == 2 else scores[0]
                of = members[i] if np.ndim(labels) == 2 else members[0]
                assert found.area[i] == pytest.approx(roc_area(row, of))
                assert found.accuracy[i] == pytest.approx(best_accuracy(row, of))
                expected = [tpr_at(row, of, q, reachable=False) for q in (0.05, 0.3)]
                np.testing.assert_allclose(found.tpr[i], expected)


def test_infinite_scores_and_a_single_pair():
    assert roc_area([np.inf, -np.inf], [True, False]) == 1
    assert roc_area([1.0, 1.0], [1, 0]) == 0.5
    assert best_accuracy([0.0, 1.0], [True, False]) == 0.5


def test_a_rate_on_its_edge():
    """29 of 100 is a rate of at most 0.29, though 0.29 * 100 is below 29 in floating point."""
    score = -np.arange(101.0)
    member = np.arange(101) == 29
    assert tpr_at(score, member, 0.29) == 1
    assert tpr_null(100, 1, 0.29).mean == pytest.approx(30 / 101)


def test_the_law_by_chance():
    negatives, positives, q, draws = 120, 15, 0.05, 2000
    generator = np.random.default_rng(2)
    scores = generator.random((draws, negatives + positives))
    member = np.arange(negatives + positives) < positives
    hits = np.rint(rates_of_many(scores, member, (q,)).tpr[:, 0] * positives).astype(int)
    k = 6
    law = stats.betabinom(positives, k + 1, negatives - k)
    observed = np.bincount(np.minimum(hits, 4), minlength=5)
    expected = draws * np.append(law.pmf(np.arange(4)), law.sf(3))
    assert stats.chisquare(observed, expected).pvalue > 0.01
    null = tpr_null(negatives, positives, q)
    assert null.mean == pytest.approx((k + 1) / (negatives + 1)) == law.mean() / positives
    below = law.cdf(null.quantile * positives - 1)
    assert below < 0.975 <= law.cdf(null.quantile * positives)


def test_a_rate_that_no_threshold_reaches():
    score, member = np.arange(50.0), np.arange(50) % 5 == 0
    line = "^audit: TPR at FPR 0.1 % needs 1,000 never-seen scores; there are 640$"
    with pytest.raises(ConfigError, match=line):
        tpr_null(640, 100, 0.001)
    with pytest.raises(ConfigError, match="needs 100 never-seen scores; there are 40"):
        tpr_at(score, member, 0.01)
    assert tpr_at(score, member, 0.01, reachable=False) == 0


def test_released_rates_are_at_other_places():
    """The nearest rate may exceed the one asked for; strictly below leaves out a threshold on it."""
    member = np.array([False, True, False, True])
    score = np.array([4.0, 3.0, 2.0, 1.0])
    assert tpr_at(score, member, 0.4, reachable=False) == 0
    assert tpr_at(score, member, 0.4, "nearest") == 0
    assert tpr_at(score[[1, 0, 2, 3]], member, 0.3, "nearest") == 0.5
    assert tpr_at(score, member, 0.5) == 0.5
    assert tpr_at(score, member, 0.5, "strict") == 0


@pytest.mark.parametrize(
    ("score", "member", "line"),
    [
        ([1.0, np.nan], [True, False], "1 of 2 numbers are NaN$"),
        ([1.0, 2.0], [True, True], "no non-members"),
        ([1.0, 2.0], [False, False], "no members"),
        ([1.0, 2.0], [True], "must be of shape"),
        ([1.0, 2.0], [0.0, 1.0], "true and false"),
    ],
)
def test_refused(score, member, line):
    with pytest.raises(ConfigError, match=line):
        roc_area(score, member)


def test_many_refused():
    with pytest.raises(ConfigError, match="no members, or nobody else"):
        rates_of_many([[1.0, 2.0]], [[True, True]])
    with pytest.raises(ConfigError, match="3 score vectors and 2 labellings"):
        rates_of_many(np.ones((3, 2)), [[True, False]] * 2)
    with pytest.raises(ConfigError, match="must hold 2 a row"):
        rates_of_many(np.ones((3, 2)), [True, False, True])
    with pytest.raises(ConfigError, match="between 0 and 1, not 1"):
        tpr_at([1.0, 2.0], [True, False], 1.0)
    with pytest.raises(ConfigError, match="0 members and 5 others"):
        tpr_null(5, 0, 0.5)
    with pytest.raises(ConfigError, match="convention must be one of"):
        tpr_at([1.0, 2.0], [True, False], 0.5, "last")
