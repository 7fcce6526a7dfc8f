"""The efficacy game: reference numbers, the definition network by network, and what would be unfair."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import crossfit, permutations, resampled_crossfit
from junlearn.metrics.membership import area_under_curve


@pytest.mark.parity
def test_reference_numbers(golden):
    case = golden("audit/ensembles")
    for name in ("retrained_b", "original", "finetune", "neggrad_plus"):
        found = crossfit(case[name], case["retrained"], variance="own", fpr=(0.01,))
        for side in ("unlearned", "retrained"):
            expected = case[f"{name}_crossfit_llr_{side}"]
            np.testing.assert_allclose(getattr(found, f"llr_{side}"), expected, rtol=0, atol=1e-9)
        values = found.accuracy, found.auc, found.tpr[0.01]
        for value, key in zip(values, ("accuracy", "auc", "tpr_0.01"), strict=True):
            assert value == pytest.approx(float(case[f"{name}_crossfit_{key}"]), abs=1e-9)


def log_normal(x, mean, variance):
    return -0.5 * np.log(variance) - (x - mean) ** 2 / (2 * variance)


def by_hand(one, other, folds, fixed):
    """Scores of both sides, one held-out network at a time."""
    scores = []
    for side in (one, other):
        found = []
        for place, x in enumerate(side):
            fits = [s[np.arange(len(s)) % folds != place % folds] for s in (one, other)]
            means = [fit.mean(axis=0) for fit in fits]
            variances = [fit.var(axis=0, ddof=1) for fit in fits]
            if fixed:
                variances = [np.mean(variances)] * 2
            terms = [log_normal(x, m, v) for m, v in zip(means, variances, strict=True)]
            found.append(terms[0] - terms[1])
        scores.append(np.array(found))
    return scores


@pytest.mark.parametrize("variance", ["own", "fixed"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_resampled_form_is_the_definition(variance, offset):
    rng = np.random.default_rng(0)
    pool = offset + rng.normal(size=(21, 5)) * np.arange(1, 6)
    dealt = permutations(9, 12, 8, rng)
    settings = {"folds": 3, "variance": variance, "fpr": (0.1,)}
    found = resampled_crossfit(pool, dealt, **settings)
    for way, (first, second) in enumerate(zip(*dealt, strict=True)):
        one, other = by_hand(pool[first], pool[second], 3, variance == "fixed")
        plain = crossfit(pool[first], pool[second], **settings)
        np.testing.assert_allclose(plain.llr_unlearned, one, atol=1e-7)
        np.testing.assert_allclose(plain.llr_retrained, other, atol=1e-7)
        per_example = ((one > 0).mean(axis=0) + (other <= 0).mean(axis=0)) / 2
        np.testing.assert_allclose(found.per_example[way], per_example, atol=1e-7)
        assert plain.accuracy == pytest.approx(per_example.mean())
        assert plain.auc == pytest.approx(area_under_curve(one.ravel(), other.ravel()))
        assert (found.accuracy[way], found.auc[way]) == pytest.approx((plain.accuracy, plain.auc))
        assert found.tpr[0.1][way] == pytest.approx(plain.tpr[0.1])


def test_variance_by_the_number_of_networks():
    one, other = np.random.default_rng(1).normal(size=(2, 44, 6)) * np.arange(1, 7)
    few, many = (one[:40], other[:40]), (one, other)
    for sides, same in ((few, "fixed"), (many, "own")):
        np.testing.assert_array_equal(
            crossfit(*sides).llr_unlearned, crossfit(*sides, variance=same).llr_unlearned
        )


def test_constant_margins_give_chance():
    steady = np.full((9, 3), 0.1)
    for variance in ("own", "fixed"):
        found = crossfit(steady, steady[:8], variance=variance, fpr=(0.1,))
        assert (found.accuracy, found.auc, found.tpr) == (0.5, 0.5, {0.1: 0.0})
        apart = crossfit(steady + 1, steady, variance=variance, fpr=(0.1,))
        assert (apart.accuracy, apart.auc, apart.tpr) == (1.0, 1.0, {0.1: 1.0})
        assert np.isfinite(apart.llr_unlearned).all()


def test_one_example_and_huge_margins():
    rng = np.random.default_rng(2)
    found = crossfit(1e4 + rng.normal(size=(16, 1)), -1e4 + rng.normal(size=(16, 1)), fpr=(0.1,))
    assert (found.accuracy, found.auc) == (1.0, 1.0)


def test_both_kinds_are_judged_by_one_fit():
    """Then accuracy is 1/2 on average, also with 8 networks; leave-one-out would give 0.493."""
    rng = np.random.default_rng(3)
    audits = rng.normal(size=(200, 16, 100))
    found = [crossfit(audit[:8], audit[8:], variance="own", fpr=(0.01,)) for audit in audits]
    assert np.mean([f.accuracy for f in found]) == pytest.approx(0.5, abs=0.003)
    assert np.mean([f.auc for f in found]) == pytest.approx(0.5, abs=0.004)
    assert np.mean([f.tpr[0.01] for f in found]) == pytest.approx(0.011, abs=0.002)


def test_the_range_is_that_of_networks():
    """What networks have in common widens the range of the accuracy; a count of decisions would not see it."""
    rng = np.random.default_rng(4)
    spread = {}
    for rho in (0.0, 0.2):
        found = []
        for _ in range(60):
            own, common = rng.normal(size=(64, 100)), rng.normal(size=(64, 1))
            pool = np.sqrt(1 - rho) * own + np.sqrt(rho) * common
            found.append(crossfit(pool[:32], pool[32:], variance="own").accuracy)
        spread[rho] = np.std(found)
    assert 0.005 < spread[0.0] < 0.010
    assert spread[0.2] > 1.25 * spread[0.0]


def test_what_is_refused():
    margins = np.zeros((8, 3))
    for sides, message in (
        ((margins[:5], margins), "3 unlearned networks in a fit"),
        ((margins, margins[:5]), "3 retrained networks in a fit"),
    ):
        with pytest.raises(ConfigError, match=message):
            crossfit(*sides)
    with pytest.raises(ConfigError, match="0 held out"):
        crossfit(margins, margins, folds=9)
    with pytest.raises(ConfigError, match="1 folds"):
        crossfit(margins, margins, folds=1)
    with pytest.raises(ConfigError, match="unknown variance 'owned'; did you mean 'own'"):
        crossfit(margins, margins, variance="owned")
    with pytest.raises(ConfigError, match="there are 24"):
        crossfit(margins, margins, fpr=(0.01,))
