"""What all metrics of ensembles have in common: a network is the unit, and the null belongs to the margins at hand."""

from collections.abc import Callable

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics import ensemble
from junlearn.metrics.ensemble import Relabelled, permutations, splits

Resampled = Callable[[np.ndarray, Relabelled], np.ndarray]

METRICS: dict[str, Resampled] = {
    "forgetting_quality": ensemble.resampled_forgetting_quality,
    "rank_quality": ensemble.resampled_rank_quality,
    "klom_mean": lambda pool, dealt: ensemble.resampled_klom(pool, dealt)["mean"],
    "mean_shift": lambda pool, dealt: ensemble.resampled_moments(pool, dealt)["mean_shift"],
    "log_variance_ratio": lambda pool, dealt: ensemble.resampled_moments(pool, dealt)[
        "log_variance_ratio"
    ],
    "energy": ensemble.resampled_energy,
    "accuracy": lambda pool, dealt: ensemble.resampled_crossfit(pool, dealt).accuracy,
    "auc": lambda pool, dealt: ensemble.resampled_crossfit(pool, dealt).auc,
}
PLAIN = {
    "forgetting_quality": lambda one, other: ensemble.forgetting_quality(one, other).value,
    "rank_quality": lambda one, other: ensemble.rank_quality(one, other).value,
    "klom_mean": lambda one, other: ensemble.klom(one, other).mean,
    "mean_shift": lambda one, other: ensemble.moments(one, other).mean_shift,
    "log_variance_ratio": lambda one, other: ensemble.moments(one, other).log_variance_ratio,
    "energy": ensemble.energy,
    "accuracy": lambda one, other: ensemble.crossfit(one, other).accuracy,
    "auc": lambda one, other: ensemble.crossfit(one, other).auc,
}
SMALL_IS_FAR = {"forgetting_quality", "rank_quality"}


def p_value(name: str, pool: np.ndarray, dealt: Relabelled) -> float:
    """The share of permutations at least as extreme, the observed one among them."""
    half = len(pool) // 2
    sign = -1.0 if name in SMALL_IS_FAR else 1.0
    observed = sign * PLAIN[name](pool[:half], pool[half:])
    found = sign * METRICS[name](pool, dealt)
    return float((1 + (found >= observed - 1e-12).sum()) / (1 + len(found)))


@pytest.fixture(scope="module")
def retrained():
    return np.random.default_rng(0).normal(size=(2, 16, 30))


@pytest.mark.parametrize("name", METRICS)
def test_resampled_at_the_identity_is_plain(name, retrained):
    one, other = retrained
    pool = np.concatenate([one * 1.2 + 0.3, other])
    found = METRICS[name](pool, ensemble.identity(16, 16))
    assert found[0] == pytest.approx(PLAIN[name](pool[:16], pool[16:]), abs=1e-12)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "log_variance_ratio"])
def test_a_larger_shift_is_further(name, retrained):
    one, other = retrained
    sign = -1.0 if name in SMALL_IS_FAR else 1.0
    values = [sign * PLAIN[name](one + shift, other) for shift in (0.0, 0.7, 1.5, 3.0)]
    assert (np.diff(values) > 0).all()
    dealt = permutations(16, 16, 99, np.random.default_rng(1))
    assert p_value(name, np.concatenate([one + 1.5, other]), dealt) == 0.01


@pytest.mark.parametrize("name", [name for name in METRICS if name != "forgetting_quality"])
def test_the_scale_of_the_margins_does_not_count(name, retrained):
    one, other = retrained[0] * 1.5 + 0.3, retrained[1]
    for scale in (0.3, 8.0):
        assert PLAIN[name](scale * one, scale * other) == pytest.approx(PLAIN[name](one, other))


def test_forgetting_quality_moves_with_its_null():
    """Its grid has a scale: the level of perfect unlearning at 64 networks is 0.18 at sd 1, and 0.094 at 0.3."""
    pool = np.random.default_rng(2).normal(size=(128, 60))
    dealt = splits(4, 64, np.random.default_rng(3))
    wide = ensemble.resampled_forgetting_quality(pool, dealt).mean()
    narrow = ensemble.resampled_forgetting_quality(0.3 * pool, dealt).mean()
    assert wide == pytest.approx(0.18, abs=0.02)
    assert narrow == pytest.approx(0.094, abs=0.012)


@pytest.mark.parametrize("name", METRICS)
def test_ten_copies_of_every_example_are_no_more_evidence(name, retrained):
    one, other = retrained[0][:, :10] + 0.2, retrained[1][:, :10]
    copied = np.tile(one, 10), np.tile(other, 10)
    value = PLAIN[name](*copied)
    if name == "energy":  # a distance in ten times as many dimensions
        value /= np.sqrt(10)
    assert value == pytest.approx(PLAIN[name](one, other))
    pool, dealt = np.concatenate([one, other]), permutations(16, 16, 49, np.random.default_rng(4))
    assert p_value(name, np.tile(pool, 10), dealt) == p_value(name, pool, dealt)


@pytest.mark.parametrize("name", ["mean_shift", "energy", "accuracy", "klom_mean"])
@pytest.mark.parametrize("rho", [0.0, 0.2])
def test_permutation_is_exact_whatever_networks_have_in_common(name, rho):
    rng = np.random.default_rng(9)
    found = []
    for _ in range(200):
        own, common = rng.normal(size=(16, 20)), rng.normal(size=(16, 1))
        pool = np.sqrt(1 - rho) * own + np.sqrt(rho) * common
        found.append(p_value(name, pool, permutations(8, 8, 19, rng)))
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.085
    assert np.mean(found) == pytest.approx(0.525, abs=0.065)


@pytest.mark.parametrize("name", METRICS)
def test_what_no_network_says(name):
    margins = np.zeros((16, 2))
    broken = margins.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ConfigError, match="retrained: 1 of 16 networks have margins that are NaN"):
        PLAIN[name](margins, broken)
    with pytest.raises(ConfigError, match="2 examples, retrained ones 1"):
        PLAIN[name](margins, margins[:, :1])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("examples", [1, 3])
def test_no_spread_and_huge_margins(name, examples):
    """Finite values, without a warning, and in the direction of what is there."""
    steady = np.full((50, examples), 0.1)
    level = PLAIN[name](steady, steady)
    assert np.isfinite(level)
    far = PLAIN[name](steady * 1e5, -steady * 1e5)
    assert np.isfinite(far)
    if name != "log_variance_ratio":
        assert far < level if name in SMALL_IS_FAR else far > level
