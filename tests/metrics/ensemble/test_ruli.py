"""RULI: reference numbers, densities by the definition, bandwidths, and held-out runs."""

import numpy as np
import pytest
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    RELEASED_BANDWIDTH,
    roc_area,
    rule_of_thumb,
    ruli_efficacy,
    ruli_held_out,
    ruli_privacy,
    tpr_at,
)


@pytest.mark.parity
def test_golden(golden):
    case = golden("audit/ruli")
    ratio = ruli_privacy(
        *(case["shadow_unlearned"].T, case["shadow_out_unlearned"].T, case["phi_unlearned"]),
        bandwidth=RELEASED_BANDWIDTH,
    )
    np.testing.assert_allclose(ratio, case["privacy_ratio"], rtol=0, atol=1e-12)
    unlearned, never = case["members_unlearned"], case["members_out"]
    score = np.concatenate([ratio[unlearned], ratio[never]])
    member = np.arange(len(score)) < len(unlearned)
    assert roc_area(score, member) == pytest.approx(case["privacy_auc"], abs=1e-12)
    for q, name in ((0.01, "0_01"), (0.001, "0_001")):
        rate = tpr_at(score, member, q, "nearest")
        assert rate == pytest.approx(case[f"privacy_tpr_nearest_{name}"], abs=1e-12)
    efficacy = ruli_efficacy(
        *(case["shadow_unlearned"].T, case["shadow_out_trained"].T),
        *(case["phi_unlearned"], case["phi_trained"]),
        np.isin(np.arange(60), unlearned),
        bandwidth=RELEASED_BANDWIDTH,
    )
    np.testing.assert_allclose(efficacy, case["efficacy_ratio"], rtol=0, atol=1e-12)


def test_densities_by_the_definition():
    generator = np.random.default_rng(16)
    sides = generator.normal(size=(7, 4)), generator.normal(1, 2, size=(9, 4))
    target = generator.normal(size=4)
    densities = []
    for side in sides:
        low, high = np.quantile(side, (0.25, 0.75), axis=0)
        width = 0.9 * np.minimum(side.std(axis=0, ddof=1), (high - low) / 1.34)
        width *= len(side) ** -0.2
        np.testing.assert_allclose(rule_of_thumb(side), width)
        densities.append(stats.norm.pdf(target, side, width).mean(axis=0))
    expected = densities[0] / (densities[0] + densities[1])
    np.testing.assert_allclose(ruli_privacy(*sides, target), expected)


def test_the_released_bandwidth_has_a_scale_and_the_rule_has_none():
    generator = np.random.default_rng(17)
    sides = generator.normal(size=(12, 30)), generator.normal(2, size=(12, 30))
    target = generator.normal(size=30)
    small = [0.01 * side for side in (*sides, target)]
    np.testing.assert_allclose(ruli_privacy(*small), ruli_privacy(*sides, target), rtol=1e-6)
    released = ruli_privacy(*small, bandwidth=RELEASED_BANDWIDTH)
    np.testing.assert_allclose(released, 0.5, atol=1e-3)


def test_held_out_runs_by_the_definition():
    generator = np.random.default_rng(18)
    status = np.tile(np.repeat([1, 2], 3), 4)[:, None] * np.ones((1, 5), int)
    status[0] = 0
    fold = np.repeat(np.arange(4), 6)
    phi = generator.normal(size=(24, 5)) + 3.0 * (status == 1)
    ratio = ruli_held_out(phi, status, fold)
    assert np.isnan(ratio[0]).all()
    for run in (1, 23):
        rest = fold != fold[run]
        sides = [phi[rest & (status[:, 0] == kind)] for kind in (1, 2)]
        np.testing.assert_allclose(ratio[run], ruli_privacy(*sides, phi[run]))
    judged = status > 0
    assert roc_area(ratio[judged], status[judged] == 1) > 0.9


def test_constant_and_extreme_margins():
    same = np.full((6, 2), 3.0)
    np.testing.assert_array_equal(ruli_privacy(same, same, same[0]), 0.5)
    far = ruli_privacy(same + 1e4, same - 1e4, [1e4, -1e4], bandwidth=1.0)
    np.testing.assert_array_equal(far, [1, 0])
    # Quartiles agree, the deviation does not vanish.
    ties = np.array([[0.0]] * 9 + [[1.0]])
    assert rule_of_thumb(ties) == pytest.approx(0.9 * ties.std(ddof=1) * 10**-0.2)


def test_refused():
    side = np.random.default_rng(19).normal(size=(8, 3))
    status, fold = np.tile([[1], [2]], (4, 3)), np.arange(8) // 2
    with pytest.raises(ConfigError, match="bandwidth must be above 0, not 0"):
        ruli_privacy(side, side, side[0], bandwidth=0)
    with pytest.raises(ConfigError, match="never has 2 examples, and target 3"):
        ruli_privacy(side, side[:, :2], side[0])
    with pytest.raises(ConfigError, match="unlearned has 1 network; a bandwidth needs at least 2"):
        ruli_privacy(side[:1], side, side[0])
    with pytest.raises(ConfigError, match="the targets have 3 and 2 examples"):
        ruli_efficacy(side, side, side[0], side[0, :2], [True] * 3)
    with pytest.raises(ConfigError, match="ruli: example 0 has 3 unlearned runs in a fit"):
        ruli_held_out(side, status, fold)
    with pytest.raises(ConfigError, match="these networks were used in the fit"):
        ruli_held_out(side, status, 0 * fold)
