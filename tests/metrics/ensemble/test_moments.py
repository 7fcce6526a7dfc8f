"""Mean shift, log variance ratio, and how much the examples of a network move together."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    bootstraps,
    moments,
    permutations,
    resampled_moments,
    rho,
    signal_sd,
)


@pytest.mark.parity
def test_reference_numbers(golden):
    case = golden("audit/ensembles")
    for name in ("retrained_b", "original", "finetune", "neggrad_plus"):
        found = moments(case[name], case["retrained"])
        assert found.mean_shift == pytest.approx(float(case[f"{name}_mean_shift"]), abs=1e-9)
        expected = float(case[f"{name}_log_variance_ratio"])
        assert found.log_variance_ratio == pytest.approx(expected, abs=1e-9)


def by_hand(one, other):
    variances = one.var(axis=0, ddof=1), other.var(axis=0, ddof=1)
    shift = (one.mean(axis=0) - other.mean(axis=0)) / np.sqrt(sum(variances) / 2)
    ratio = np.log(variances[0] / variances[1])
    return shift, ratio


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("deal", [permutations, bootstraps])
def test_resampled_form(offset, deal):
    rng = np.random.default_rng(0)
    pool = offset + rng.normal(size=(19, 6))
    dealt = deal(8, 11, 30, rng)
    found = resampled_moments(pool, dealt)
    for way, (first, second) in enumerate(zip(*dealt, strict=True)):
        shift, ratio = by_hand(pool[first], pool[second])
        assert found["mean_shift"][way] == pytest.approx(shift.mean(), abs=1e-7)
        assert found["log_variance_ratio"][way] == pytest.approx(np.median(ratio), abs=1e-7)


def test_by_example():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(9, 4)), 2 * rng.normal(size=(12, 4)) + 1
    found = moments(one, other)
    shift, ratio = by_hand(one, other)
    np.testing.assert_allclose(found.shift, shift)
    np.testing.assert_allclose(found.log_ratio, ratio)
    assert found.mean_shift < 0 and found.log_variance_ratio < 0


def test_constant_margins():
    spread, steady = np.random.default_rng(2).normal(size=(8, 3)), np.full((8, 3), 0.1)
    same = moments(steady, steady)
    assert same.shift.tolist() == [0.0] * 3 and same.log_ratio.tolist() == [0.0] * 3
    apart = moments(steady + 1, steady)
    assert np.isfinite(apart.shift).all() and (apart.shift > 1e5).all()
    collapsed = moments(steady, spread)
    assert np.isfinite(collapsed.log_ratio).all() and (collapsed.log_ratio < -20).all()


def networks(correlation: float, count: int, examples: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    common = rng.normal(size=(count, 1))
    own = rng.normal(size=(count, examples))
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own


def test_rho_is_the_mean_correlation():
    margins = networks(0.2, 400, 30) * np.arange(1, 31) + 5
    correlations = np.corrcoef(margins.T)
    mean = (correlations.sum() - 30) / (30 * 29)
    assert rho(margins) == pytest.approx(mean)
    assert rho(margins) == pytest.approx(0.2, abs=0.05)
    assert rho(networks(0.0, 400, 30)) == pytest.approx(0.0, abs=0.01)


def test_rho_and_scale_at_their_edges():
    margins = networks(0.2, 16, 5)
    padded = np.concatenate([margins, np.full((16, 2), 0.1)], axis=1)
    assert rho(padded) == pytest.approx(rho(margins))
    assert rho(margins[:, :1]) == 0.0
    assert signal_sd(margins) == pytest.approx(np.median(margins.std(axis=0, ddof=1)))
    assert signal_sd(np.full((16, 3), 0.1)) == 0.0
    with pytest.raises(ConfigError, match="at least 2 networks"):
        rho(margins[:1])
    with pytest.raises(ConfigError, match="at least 2 networks a side"):
        moments(margins[:1], margins)
