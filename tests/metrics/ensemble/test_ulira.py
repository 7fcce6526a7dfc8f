"""U-LiRA: reference numbers, the definition, the exact test by coins, and what is refused."""

from importlib import import_module

import numpy as np
import pytest
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    IN_SAMPLE_TITLE,
    enough_runs,
    permuted_coins,
    retain_exposure,
    roc_area,
    tpr_at,
    ulira,
    ulira_in_sample,
    ulira_relabelled,
)


def blocked(generator, runs, examples, blocks=4):
    """(coins bool[S, n], block int[S]): half of each block's runs, for each example by itself."""
    size = runs // blocks
    half = np.repeat(np.arange(size)[:, None] < size // 2, examples, axis=1)
    coins = [generator.permuted(half, axis=0) for _ in range(blocks)]
    return np.concatenate(coins), np.repeat(np.arange(blocks), size)


@pytest.fixture
def audit():
    generator = np.random.default_rng(9)
    coins, block = blocked(generator, 24, 20)
    phi = generator.normal(size=(24, 20)) + 0.7 * coins
    kept = generator.random((24, 20)) < 0.1
    return phi, np.where(kept, 0, np.where(coins, 1, 2)), block


@pytest.mark.parity
def test_golden(golden):
    case = golden("audit/ulira")
    found = ulira(case["phi"], case["status"], case["fold"], variance="own")
    np.testing.assert_allclose(found.llr, case["llr"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        found.example_accuracy, case["balanced_accuracy"], rtol=0, atol=1e-12
    )
    assert found.accuracy == pytest.approx(case["balanced_accuracy"].mean(), abs=1e-12)
    assert found.pooled_accuracy == pytest.approx(case["pooled_accuracy"], abs=1e-12)
    assert found.area == pytest.approx(case["auc"], abs=1e-12)


@pytest.mark.parity
def test_golden_in_sample(golden):
    case = golden("audit/ulira")
    found = ulira_in_sample(case["released_forgotten"].T, case["released_never"].T)
    np.testing.assert_allclose(found.T, case["released_probability"], rtol=0, atol=1e-12)
    assert np.isnan(found[:, :3]).all() and not np.isnan(found[:, 3:]).any()
    assert IN_SAMPLE_TITLE.endswith("(in-sample)")


@pytest.mark.parametrize("variance", ["own", "fixed", "auto"])
def test_by_the_definition(audit, variance):
    phi, status, fold = audit
    found = ulira(phi, status, fold, variance=variance, rates=(0.1,))
    expected = np.full(phi.shape, np.nan)
    for g in range(4):
        samples = [
            [phi[(fold != g) & (status[:, i] == kind), i] for i in range(20)] for kind in (1, 2)
        ]
        pooled = np.sqrt(np.mean([[v.var(ddof=1) for v in side] for side in samples]))
        for i in range(20):
            u, h = (
                stats.norm(side[i].mean(), side[i].std(ddof=1) if variance == "own" else pooled)
                for side in samples
            )
            rows = (fold == g) & (status[:, i] > 0)
            expected[rows, i] = u.logpdf(phi[rows, i]) - h.logpdf(phi[rows, i])
    np.testing.assert_allclose(found.llr, expected, rtol=1e-9, atol=1e-9)
    shares = [
        [(expected[status[:, i] == 1, i] > 0).mean(), (expected[status[:, i] == 2, i] <= 0).mean()]
        for i in range(20)
    ]
    np.testing.assert_allclose(found.example_accuracy, np.mean(shares, axis=1))
    judged = status > 0
    assert found.area == pytest.approx(roc_area(expected[judged], status[judged] == 1))
    assert found.tpr[0] == pytest.approx(tpr_at(expected[judged], status[judged] == 1, 0.1))


def test_units_do_not_matter(audit):
    phi, status, fold = audit
    found = ulira(phi, status, fold)
    moved = ulira(1e3 * phi - 1e4, status, fold)
    np.testing.assert_allclose(moved.llr, found.llr, rtol=1e-6, atol=1e-8)
    shift = 100.0 * np.arange(20)
    np.testing.assert_allclose(ulira(phi + shift, status, fold).llr, found.llr, rtol=1e-8)


def test_relabellings_are_each_refitted(audit, monkeypatch):
    phi, status, fold = audit
    monkeypatch.setattr(import_module("junlearn.metrics.ensemble.ulira"), "BATCH", 2 * phi.size)
    judged = status > 0
    coins = list(permuted_coins(status == 1, judged, fold, 5, np.random.default_rng(10)))
    null = ulira_relabelled(phi, judged, np.stack(coins), fold, rates=(0.1,), least=2)
    assert null.example_accuracy.shape == (5, 20) and null.tpr.shape == (5, 1)
    for p, labels in enumerate(coins):
        relabelled = np.where(judged, np.where(labels, 1, 2), 0)
        alone = ulira(phi, relabelled, fold, rates=(0.1,), least=2)
        np.testing.assert_array_equal(null.example_accuracy[p], alone.example_accuracy)
        found = null.accuracy[p], null.pooled_accuracy[p], null.area[p], null.tpr[p, 0]
        assert found == pytest.approx(
            (alone.accuracy, alone.pooled_accuracy, alone.area, alone.tpr[0])
        )


def test_coins_stay_in_their_block_and_among_the_judged(audit):
    _, status, block = audit
    coins, judged = status == 1, status > 0
    draws = np.stack(list(permuted_coins(coins, judged, block, 200, np.random.default_rng(11))))
    assert not draws[:, ~judged].any()
    for b in range(4):
        rows = block == b
        expected = coins[rows].sum(axis=0)
        np.testing.assert_array_equal(draws[:, rows].sum(axis=1), np.tile(expected, (200, 1)))
        share = np.where(judged[rows], expected / judged[rows].sum(axis=0), 0)
        assert np.abs(draws[:, rows].mean(axis=0) - share).max() < 0.17


def test_a_perfect_unlearner_scores_one_half():
    """Eight runs of a kind, the fewest: whatever the fit, both kinds are judged by the same one."""
    generator = np.random.default_rng(12)
    coins, block = blocked(generator, 16, 8000)
    judged = np.ones(coins.shape, bool)
    phi = generator.standard_t(3, size=coins.shape) + 2 * generator.normal(size=(16, 1))
    null = ulira_relabelled(phi, judged, permuted_coins(coins, judged, block, 8, generator), block)
    assert null.accuracy.mean() == pytest.approx(0.5, abs=0.002)
    assert null.example_accuracy.std() == pytest.approx(0.148, abs=0.02)


def test_p_values_are_uniform_with_correlated_examples():
    generator = np.random.default_rng(13)
    found = []
    for _ in range(200):
        coins, block = blocked(generator, 16, 10)
        judged = np.ones(coins.shape, bool)
        phi = generator.normal(size=coins.shape) + 2 * generator.normal(size=(16, 1))
        value = ulira(phi, np.where(coins, 1, 2), block).area
        drawn = permuted_coins(coins, judged, block, 39, generator)
        null = ulira_relabelled(phi, judged, drawn, block).area
        found.append((1 + (null >= value).sum()) / 40)
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.085
    assert 0.43 < np.mean(found) < 0.6


def test_examples_are_no_trials(audit):
    """Every example ten times over: value and band stay where they are."""
    phi, status, fold = audit
    judged = status > 0
    coins = np.stack(list(permuted_coins(status == 1, judged, fold, 9, np.random.default_rng(27))))
    once = ulira_relabelled(phi, judged, coins, fold, least=2)
    many = [np.repeat(array, 10, axis=-1) for array in (phi, judged, coins)]
    again = ulira_relabelled(*many, fold, least=2)
    for name in ("accuracy", "pooled_accuracy", "area"):
        np.testing.assert_allclose(getattr(again, name), getattr(once, name), rtol=1e-12)


def test_retain_exposure():
    generator = np.random.default_rng(14)
    coins, block = blocked(generator, 32, 50)
    before = generator.normal(size=coins.shape) + 0.5 * coins
    assert retain_exposure(before, before, coins, block) == 0
    assert retain_exposure(before + coins, before, coins, block) > 0.1
    assert retain_exposure(before - 0.5 * coins, before, coins, block) < -0.03


def test_constant_and_extreme_margins():
    coins, block = blocked(np.random.default_rng(15), 16, 1)
    status = np.where(coins, 1, 2)
    same = ulira(np.full((16, 1), 1e4), status, block)
    assert (same.llr == 0).all() and same.accuracy == same.area == 0.5
    apart = ulira(np.where(coins, 1e4, -1e4), status, block)
    assert apart.accuracy == apart.area == 1 and np.isfinite(apart.llr).all()


def test_constant_member_is_not_always_right():
    """As released, only forgotten runs are judged, and one that answers everything rightly has no value."""
    answers = np.ones((8, 1), bool)
    assert np.isnan(ulira_in_sample(answers, answers)).all()
    forgotten, never = np.arange(8)[:, None] < 7, np.arange(8)[:, None] < 6
    assert ((ulira_in_sample(forgotten, never) > 0.5) == forgotten).all()


def test_refused(audit):
    phi, status, fold = audit
    in_sample = (
        "^audit: these networks were used in the fit; in-sample accuracy is 0.58 for perfect "
        'unlearning at 16 a side. Use folds, or compat="deepunlearn"$'
    )
    for none in (None, np.zeros(24, int)):
        with pytest.raises(ConfigError, match=in_sample):
            ulira(phi, status, none)
    with pytest.raises(ConfigError, match="a fold of one run holds one kind alone"):
        ulira(phi, status, np.arange(24))
    few = status.copy()
    few[np.flatnonzero(few[:, 17] == 1)[3:], 17] = 0
    found = min(((few[:, 17] == 1) & (fold != g)).sum() for g in range(4))
    line = f"^audit: ulira: example 17 has {found} unlearned runs in a fit; give more runs or fewer folds$"
    with pytest.raises(ConfigError, match=line):
        ulira(phi, few, fold)
    np.testing.assert_array_equal(enough_runs(few, fold), np.arange(20) != 17)
    with pytest.raises(ConfigError, match=r"a status is 0 \(kept\), 1 \(unlearned\) or 2"):
        ulira(phi, status + 1, fold)
    with pytest.raises(ConfigError, match="variance must be one of"):
        ulira(phi, status, fold, variance="free")
    with pytest.raises(ConfigError, match=r"TPR at FPR 0\.1 % needs 1,000 never-seen scores"):
        ulira(phi, status, fold, rates=(0.001,))
    with pytest.raises(ConfigError, match="there are no relabellings"):
        ulira_relabelled(phi, status > 0, [], fold)
    with pytest.raises(ConfigError, match="1 of 480 numbers are NaN or infinite"):
        ulira(np.where(np.arange(480).reshape(24, 20) == 7, np.nan, phi), status, fold)
    with pytest.raises(ConfigError, match=r"outcomes are right \(1\) or wrong \(0\)"):
        ulira_in_sample(phi, phi)
    with pytest.raises(ConfigError, match="the two sides have 20 and 19 examples"):
        ulira_in_sample(phi > 0, phi[:, 1:] > 0)
