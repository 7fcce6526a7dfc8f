"""RMIA: reference numbers, the definition pair by pair, the released means, and what is refused."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import rmia, rmia_ratio, roc_area


@pytest.mark.parity
@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
def test_golden(golden, a):
    case = golden("audit/rmia")
    columns = case["references"]
    arguments = (
        *(case["signals"][:, 0], case["signals"][:, columns].T),
        *(case["population"][:, 0], case["population"][:, columns].T),
    )
    settings = {"included": case["member"][:, columns].T, "a": a, "gamma": float(case["gamma"])}
    score = rmia(*arguments, **settings)
    np.testing.assert_allclose(score, case[f"score_a{a}"], rtol=0, atol=1e-12)
    released = rmia(*arguments, **settings, compat="released")
    np.testing.assert_allclose(released, case[f"score_released_a{a}"], rtol=0, atol=1e-12)
    member = case["member"][:, 0]
    assert roc_area(released, member) == pytest.approx(case[f"auc_a{a}"], abs=1e-12)


@pytest.fixture
def signals():
    """Target [20], references [5, 20], strangers [9] and [5, 9], rounded so that ratios tie."""
    generator = np.random.default_rng(6)
    return [np.round(generator.random(s), 1) for s in ((20,), (5, 20), (9,), (5, 9))]


def test_pair_by_pair(signals):
    target, references, strangers, outside = signals
    for gamma in (1.0, 1.5):
        found = rmia(*signals, a=0.5, gamma=gamma)
        for x in range(20):
            ratio = target[x] / (0.75 * references[:, x].mean() + 0.25)
            others = strangers / (0.75 * outside.mean(axis=0) + 0.25)
            assert found[x] == pytest.approx((ratio > gamma * others).mean())


def test_a_tie_is_not_beaten():
    same = np.full((2, 3), 0.5)
    np.testing.assert_array_equal(rmia(same[0], same, same[0], same), 0)


def test_strangers_add_only_ties(signals):
    ratio = rmia_ratio(signals[0], signals[1])
    score = rmia(*signals)
    order = np.argsort(ratio)
    assert (np.diff(score[order]) >= 0).all() and len(set(score)) < len(set(ratio))


def test_references_that_had_the_example_are_left_out(signals):
    target, references, *strangers = signals
    included = np.zeros((5, 20), bool)
    included[0] = True
    ours = rmia(target, references, *strangers, included=included)
    changed = references.copy()
    changed[0] = 1 - changed[0]
    np.testing.assert_array_equal(rmia(target, changed, *strangers, included=included), ours)
    np.testing.assert_allclose(
        rmia_ratio(target, references, included=included), rmia_ratio(target, references[1:])
    )


def test_the_released_mean_is_over_the_largest_half():
    """Strangers look more ordinary than they are, so more examples beat them; few outside models add zeros."""
    target, strangers = np.array([0.5]), np.array([0.5])
    references = np.full((4, 1), 0.5)
    spread = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert rmia(target, references, strangers, spread) == 0
    assert rmia(target, references, strangers, spread, compat="released") == 1
    had = np.array([[True], [True], [True], [False]])
    assert rmia(target, references, strangers, references, included=had) == 0
    released = rmia(target, references, strangers, references, included=had, compat="released")
    assert released == 1


def test_refused(signals):
    target, references, strangers, outside = signals
    training = np.arange(9) == 3
    line = "^audit: rmia: the population holds training examples$"
    with pytest.raises(ConfigError, match=line):
        rmia(*signals, population_in_training=training)
    rmia(*signals, population_in_training=np.zeros(9, bool))
    for a in (-0.1, 1.1, np.nan):
        with pytest.raises(ConfigError, match=r"a must lie in \[0, 1\]"):
            rmia(*signals, a=a)
    for gamma in (0.0, -1.0, np.inf):
        with pytest.raises(ConfigError, match="gamma must be above 0"):
            rmia(*signals, gamma=gamma)
    with pytest.raises(ConfigError, match="must hold probabilities, and reaches from"):
        rmia(2 * target + 1, references, strangers, outside)
    with pytest.raises(ConfigError, match="5 and 4 references"):
        rmia(target, references, strangers, outside[:4])
    with pytest.raises(ConfigError, match="references are of 19 examples, and target of 20"):
        rmia(target, references[:, 1:], strangers, outside)
    with pytest.raises(ConfigError, match="example 0 was in the training set of every reference"):
        rmia(*signals, included=np.ones((5, 20), bool))
    with pytest.raises(ConfigError, match="row 0 probability 0; give a below 1"):
        rmia(target, 0 * references, strangers, outside, a=1.0)
    with pytest.raises(ConfigError, match="at least 2 references"):
        rmia(target, references[:1], strangers, outside[:1], compat="released")
