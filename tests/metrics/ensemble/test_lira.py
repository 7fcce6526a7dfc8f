"""LiRA: reference numbers, the definition, held-out blocks, and what the released code does differently."""

from importlib import import_module

import numpy as np
import pytest
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    best_accuracy,
    lira,
    lira_held_out,
    lira_relabelled,
    lira_released,
    roc_area,
    tpr_at,
)


@pytest.fixture
def runs():
    """Margins [16, 30], who was trained with what (half of each block's runs), and the blocks."""
    generator = np.random.default_rng(3)
    block = np.arange(16) // 4
    lots = generator.random((4, 4, 30))
    included = (np.argsort(np.argsort(lots, axis=1), axis=1) < 2).reshape(16, 30)
    return generator.normal(size=(16, 30)) + 1.5 * included, included, block


@pytest.mark.parity
@pytest.mark.parametrize("attack", ["online", "offline"])
@pytest.mark.parametrize("fixed", [False, True])
def test_golden_released(golden, attack, fixed):
    case = golden("audit/lira")
    name = f"{attack}_fixed" if fixed else attack
    member = case["target_member"]
    score = lira_released(case["phi"], case["keep"], case["target_phi"], attack=attack, fixed=fixed)
    np.testing.assert_allclose(score, case[f"{name}_score"], rtol=0, atol=1e-9)
    assert roc_area(-score, member) == pytest.approx(case[f"{name}_auc"], abs=1e-12)
    assert best_accuracy(-score, member) == pytest.approx(case[f"{name}_accuracy"], abs=1e-12)
    rate = tpr_at(-score, member, 0.001, "strict")
    assert rate == pytest.approx(case[f"{name}_tpr_below_0.001"], abs=1e-12)


@pytest.mark.parity
def test_golden_baseline_and_one_sided(golden):
    case = golden("audit/lira")
    member = case["target_member"]
    baseline = case["target_phi"].mean(axis=1)
    np.testing.assert_allclose(-baseline, case["global_score"], rtol=0, atol=1e-12)
    assert roc_area(baseline, member) == pytest.approx(case["global_auc"], abs=1e-12)
    assert best_accuracy(baseline, member) == pytest.approx(case["global_accuracy"], abs=1e-12)
    assert tpr_at(baseline, member, 0.001, "strict") == pytest.approx(
        case["global_tpr_below_0.001"], abs=1e-12
    )
    score = lira(case["phi"], case["keep"], case["target_phi"], attack="offline", variance="own")
    np.testing.assert_allclose(score, case["offline_one_sided_score"], rtol=0, atol=1e-9)
    assert roc_area(score, member) == pytest.approx(case["offline_one_sided_auc"], abs=1e-12)


@pytest.mark.parametrize("variance", ["own", "fixed"])
@pytest.mark.parametrize("attack", ["online", "offline"])
def test_held_out_runs_by_the_definition(runs, attack, variance):
    phi, included, block = runs
    found = lira_held_out(phi, included, block, attack=attack, variance=variance)
    for run in range(16):
        rest = block != block[run]
        # As a target that is no run at all.
        alone = lira(phi[rest], included[rest], phi[run], attack=attack, variance=variance)
        np.testing.assert_allclose(found[run], alone, rtol=1e-10, atol=1e-12)
    rest = block != 0
    sides = [
        [phi[rest & kind[:, i], i] for i in range(30)]
        for kind in ([included, ~included] if attack == "online" else [~included])
    ]
    pooled = np.sqrt(np.mean([[v.var(ddof=1) for v in side] for side in sides]))
    for i in range(30):
        laws = [
            stats.norm(np.median(s[i]), pooled if variance == "fixed" else s[i].std(ddof=1))
            for s in sides
        ]
        if attack == "offline":
            expected = laws[0].logcdf(phi[0, i])
        else:
            expected = laws[0].logpdf(phi[0, i]) - laws[1].logpdf(phi[0, i])
        assert found[0, i] == pytest.approx(expected, rel=1e-9)


def test_augmentations_are_averaged(runs):
    phi, included, block = runs
    several = np.stack([phi, 2 * phi[::-1]], axis=2)
    apart = [lira_held_out(several[..., a], included, block) for a in range(2)]
    np.testing.assert_allclose(lira_held_out(several, included, block), np.mean(apart, axis=0))


def test_labellings_one_by_one(runs, monkeypatch):
    phi, included, block = runs
    monkeypatch.setattr(import_module("junlearn.metrics.ensemble.lira"), "BATCH", 2 * phi.size)
    labellings = [included, ~included, included[::-1]]
    for labels, scores in zip(labellings, lira_relabelled(phi, labellings, block), strict=True):
        np.testing.assert_allclose(scores, lira_held_out(phi, labels, block))


def test_auto_is_own_from_32_runs_of_a_kind():
    generator = np.random.default_rng(4)
    for half, variance in ((31, "fixed"), (32, "own")):
        phi = generator.normal(size=(2 * half, 3)) * [1.0, 2.0, 3.0]
        included = np.repeat([[True] * 3, [False] * 3], half, axis=0)
        target = generator.normal(size=3)
        chosen = lira(phi, included, target, variance=variance)
        np.testing.assert_array_equal(lira(phi, included, target), chosen)


def test_an_example_answered_unusually_badly_is_no_member():
    phi = np.linspace(-1, 1, 8)[:, None] * np.ones((8, 3))
    out = np.zeros((8, 3), bool)
    target = np.array([-5.0, 0.0, 5.0])
    score = lira(phi, out, target, attack="offline")
    assert score[0] < score[1] < score[2]
    released = -lira_released(phi, out, target, attack="offline")
    assert released[0] == pytest.approx(released[2]) and released[0] > released[1]


def test_the_released_fixed_variance_holds_the_spread_between_examples():
    generator = np.random.default_rng(5)
    phi = generator.normal(size=(8, 40))
    included = np.repeat([[True] * 40, [False] * 40], 4, axis=0)
    target = generator.normal(size=40)
    ours = lira(phi, included, target, variance="fixed")
    released = -lira_released(phi, included, target, fixed=True)
    apart = 100.0 * np.arange(40)
    np.testing.assert_allclose(
        lira(phi + apart, included, target + apart, variance="fixed"), ours, rtol=1e-9, atol=1e-9
    )
    shifted = -lira_released(phi + apart, included, target + apart, fixed=True)
    assert np.abs(shifted).max() < 1e-3 * np.abs(released).max()
    np.testing.assert_array_equal(np.argsort(ours), np.argsort(released))


def test_constant_and_extreme_margins():
    included = np.repeat([[True], [False]], 4, axis=0)
    constant = np.where(included, 1e4, -1e4)
    assert lira(constant, included, [1e4]) > 1e10 > -1e10 > lira(constant, included, [-1e4])
    assert lira(np.full((8, 1), 3.0), included, [3.0]) == 0
    assert np.isfinite(lira(constant, included, [-1e4], attack="offline"))


def test_refused(runs):
    phi, included, block = runs
    with pytest.raises(ConfigError, match="these networks were used in the fit"):
        lira_held_out(phi, included, np.zeros(16, int))
    with pytest.raises(ConfigError, match="example 0 has 0 in runs in a fit"):
        lira(phi, np.zeros_like(included), phi[0])
    with pytest.raises(ConfigError, match="example 0 has 0 out runs in a fit"):
        lira_released(phi, np.ones_like(included), phi[0])
    with pytest.raises(ConfigError, match=r"target must be of shape \[30, 1\] like a run"):
        lira(phi, included, phi[0, :5])
    with pytest.raises(ConfigError, match="attack must be one of 'online', 'offline', not 'off'"):
        lira(phi, included, phi[0], attack="off")
    with pytest.raises(ConfigError, match="block must be of shape"):
        lira_held_out(phi, included, block[:5])
