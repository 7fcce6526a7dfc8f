"""Forgetting quality: the released numbers, the definition threshold by threshold, and the cases at its edges."""

import math

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    final_score,
    forgetting_quality,
    permutations,
    resampled_epsilon,
    resampled_forgetting_quality,
)
from junlearn.metrics.ensemble.error_table import DROPPED, error_table, quality_of
from tests.metrics.ensemble.plain_quality import plain_epsilon

SETTINGS = ["null", "shift", "scale", "far", "peaked", "wide", "narrow", "ties", "bimodal", "few"]
METHODS = ("retrained_b", "original", "finetune", "neggrad_plus")


@pytest.mark.parity
def test_released_numbers(golden):
    case = golden("audit/forgetting_quality")
    for name in SETTINGS:
        found = forgetting_quality(case[f"{name}_unlearned"], case[f"{name}_retrained"])
        np.testing.assert_allclose(found.epsilon, case[f"{name}_epsilon"], rtol=0, atol=2e-6)
        assert found.value == pytest.approx(float(case[f"{name}_F"]), abs=2e-6)
        assert found.undecided == 0


@pytest.mark.parity
def test_released_numbers_of_real_networks(golden):
    case = golden("audit/ensembles")
    for name in METHODS:
        found = forgetting_quality(case[name], case["retrained"])
        np.testing.assert_allclose(found.epsilon, case[f"{name}_epsilon"], rtol=0, atol=2e-6)
        assert found.value == pytest.approx(float(case[f"{name}_F"]), abs=2e-6)


def drawn(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Two samples: of all scales; with ties; of float32; or half of one side on lines of the grids."""
    size, scale, kind = int(rng.integers(8, 65)), 10.0 ** rng.uniform(-2, 1.8), number % 6
    one, other = rng.normal(size=(2, size)) * scale
    if rng.random() < 0.5:
        other = other * rng.uniform(0.3, 1.5) + scale * rng.normal() / 2
    if kind == 1:
        return np.round(one / scale * 4) / 4, np.round(other / scale * 4) / 4
    if kind == 2:
        return np.round(one, 2), np.round(other, 2)
    if kind == 3:
        return one.astype(np.float32).astype(float), other.astype(np.float32).astype(float)
    if kind >= 4:
        inner, outer = sorted((one, other), key=np.ptp)
        lines = single_lines(inner, outer) if kind == 5 else double_lines(inner, rng)
        lines = lines[(lines >= outer.min()) & (lines <= outer.max())]
        # The ends of either side stay: the grids depend on them.
        inside = np.argsort(outer)[1:-1][: size // 2]
        if len(lines):
            outer[inside] = rng.choice(lines, len(inside))
    return one, other


def single_lines(inner, outer):
    low, high = min(inner.min(), outer.min()), max(inner.max(), outer.max())
    lines = np.linspace(low, high, math.ceil(100 * (high - low)))
    return lines.astype(np.float32).astype(float)


def double_lines(inner, rng):
    width = np.ptp(inner)
    first, last = (inner.min() + width) - 2, inner.max() + 2
    rights = np.linspace(first, last, math.ceil(100 * (last - first)))
    some = rng.choice(rights, 5)
    return np.concatenate([rights, *(np.linspace(t - width - 2, t - width + 2, 400) for t in some)])


def test_fast_form_is_the_definition():
    rng = np.random.default_rng(20261129)
    for number in range(200):
        one, other = drawn(rng, number)
        expected, decided = plain_epsilon(one, other)
        found = forgetting_quality(one[:, None], other[:, None])
        assert found.epsilon[0] == pytest.approx(expected, abs=1e-12), number
        assert found.undecided == (not decided), number


def test_resampled_form_is_the_plain_one_of_every_deal():
    rng = np.random.default_rng(3)
    pool = np.concatenate([rng.normal(size=(24, 4)), np.round(rng.normal(size=(24, 2)), 1)], axis=1)
    dealt = permutations(12, 12, 15, rng)
    epsilon = resampled_epsilon(pool, dealt)
    values = resampled_forgetting_quality(pool, dealt)
    for way, (first, second) in enumerate(zip(*dealt, strict=True)):
        plain = [plain_epsilon(pool[first, i], pool[second, i])[0] for i in range(6)]
        np.testing.assert_allclose(epsilon[way], plain, rtol=0, atol=1e-12)
        assert values[way] == forgetting_quality(pool[first], pool[second]).value


def test_constant_sides():
    steady, spread = np.full((8, 1), 2.0), np.linspace(-1, 1, 8)[:, None]
    assert forgetting_quality(steady, steady).epsilon == 0.0
    assert forgetting_quality(steady, steady).value == 1.0
    assert forgetting_quality(steady, steady + 1e-9).epsilon == 50.0
    assert forgetting_quality(steady, spread).epsilon == 50.0
    assert forgetting_quality(spread * 0.009, spread).epsilon == 50.0
    assert forgetting_quality(spread * 0.5, spread).epsilon < 50.0


def test_no_rule_kept_is_counted():
    found = forgetting_quality(np.array([[0.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [1.0]]))
    assert (found.epsilon[0], found.undecided) == (plain_of([0, 0, 1], [0, 1, 1])[0], 0)
    found = forgetting_quality(np.array([[0.0], [0.001]]), np.array([[0.0], [0.001]]))
    assert plain_of([0, 0.001], [0, 0.001]) == (50.0, False)
    assert (found.epsilon[0], found.undecided) == (50.0, 1)


def plain_of(one, other):
    return plain_epsilon(np.array(one, float), np.array(other, float))


@pytest.mark.parametrize("scale", [1e4, 1e9])
def test_huge_margins(scale):
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=(2, 8, 3)) * scale
    found = forgetting_quality(one, other)
    assert np.isfinite(found.epsilon).all() and found.epsilon.max() <= 50
    if scale == 1e4:
        plain = [plain_epsilon(one[:, i], other[:, i])[0] for i in range(3)]
        np.testing.assert_allclose(found.epsilon, plain, atol=1e-12)


def test_errors_to_epsilon():
    table = error_table(8, 8)
    codes = table.codes.reshape(9, 9)
    assert table.values[codes[0, 0]] == 50.0
    assert (codes[0, 1:] == DROPPED).all() and (codes[1:, 0] == DROPPED).all()
    assert table.values[codes[1, 4]] == pytest.approx(math.log((1 - 1e-5 - 0.5) / 0.125))
    # Both rates 1: neither logarithm exists, and the rule is kept with 0.
    assert codes[8, 8] != DROPPED and table.values[codes[8, 8]] == 0.0
    assert (np.diff(table.values[1:]) > 0).all()
    assert len(np.unique(error_table(600, 600).codes)) > 2**16


def test_buckets():
    epsilon = np.array([0.0, 0.49, 0.5, 1.0, 2.99, 3.0, 50.0])
    assert quality_of(epsilon, 16).tolist() == [1.0, 1.0, 0.5, 0.25, 2.0**-5, 0.0, 0.0]
    assert quality_of(epsilon, 2).tolist() == [0.0] * 7


def test_final_score():
    assert final_score(0.2, (0.9, 0.6), (0.8, 0.8)) == pytest.approx(0.3)
    with pytest.raises(ConfigError, match="accuracy of 0"):
        final_score(0.2, (0.9, 0.0), (0.8, 0.8))


def test_unequal_sides_are_refused():
    with pytest.raises(ConfigError, match="8 unlearned networks and 9 retrained ones"):
        forgetting_quality(np.zeros((8, 2)), np.zeros((9, 2)))
