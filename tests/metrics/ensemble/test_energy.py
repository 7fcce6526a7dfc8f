"""The energy distance between two laws of networks."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import energy, permutations, resampled_energy


def by_hand(one, other, scale):
    def mean(a, b):
        return np.mean([np.linalg.norm((x - y) / scale) for x in a for y in b])

    within = [mean(side, side) * len(side) / (len(side) - 1) for side in (one, other)]
    return 2 * mean(one, other) - sum(within)


def test_resampled_form_is_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(15, 6)) * np.arange(1, 7) * 1e3
    dealt = permutations(6, 9, 10, rng)
    scale = pool.std(axis=0, ddof=1)
    expected = [by_hand(pool[a], pool[b], scale) for a, b in zip(*dealt, strict=True)]
    np.testing.assert_allclose(resampled_energy(pool, dealt), expected, rtol=0, atol=1e-10)
    assert energy(pool[:6], pool[6:]) == pytest.approx(by_hand(pool[:6], pool[6:], scale))


def test_examples_without_spread_are_left_out():
    one, other = np.random.default_rng(1).normal(size=(2, 8, 4))
    steady = np.full((8, 1), 0.1)
    padded = energy(np.hstack([one, steady]), np.hstack([other, steady]))
    assert padded == pytest.approx(energy(one, other))
    assert energy(steady, steady) == 0.0


def test_it_sees_what_depends_on_two_examples():
    """Each example alone follows the same law on both sides; together they do not."""
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=(2, 200, 2))
    other[:, 1] = other[:, 0]
    dealt = permutations(200, 200, 200, rng)
    null = resampled_energy(np.concatenate([one, other]), dealt)
    assert energy(one, other) > null.max()


def test_unbiased_under_the_null():
    rng = np.random.default_rng(3)
    found = [energy(*rng.normal(size=(2, 8, 10))) for _ in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)
    assert min(found) < 0


def test_permuted_rows_are_closer_than_chance():
    one = np.random.default_rng(4).normal(size=(16, 10))
    assert energy(one, one[::-1]) < 0


def test_one_network_is_refused():
    with pytest.raises(ConfigError, match="at least 2 networks"):
        energy(np.zeros((1, 2)), np.zeros((8, 2)))
