"""F_rank: the reference numbers, every interval by force, and what it does not depend on."""

import numpy as np
import pytest

from junlearn.metrics.ensemble import permutations, rank_quality, resampled_rank_quality
from junlearn.metrics.ensemble.error_table import DROPPED, error_table

SETTINGS = ["null", "shift", "scale", "far", "peaked", "wide", "narrow", "bimodal", "few"]


@pytest.mark.parity
def test_reference_numbers(golden):
    case = golden("audit/forgetting_quality")
    for name in SETTINGS:
        found = rank_quality(case[f"{name}_unlearned"], case[f"{name}_retrained"])
        np.testing.assert_allclose(
            found.epsilon, case[f"{name}_rank_epsilon"], rtol=0, atol=1e-9, err_msg=name
        )


@pytest.mark.parity
def test_equal_margins_are_not_told_apart(golden):
    """The reference puts unlearned networks before retrained ones that they equal: a rule that nobody can follow."""
    case = golden("audit/forgetting_quality")
    unlearned, retrained = case["ties_unlearned"], case["ties_retrained"]
    told_apart = rank_quality(unlearned - 1e-9, retrained)
    np.testing.assert_allclose(told_apart.epsilon, case["ties_rank_epsilon"], rtol=0, atol=1e-9)
    assert (rank_quality(unlearned, retrained).epsilon < told_apart.epsilon).all()


def by_force(one: np.ndarray, other: np.ndarray) -> float:
    """The best epsilon of all intervals between values, either side inside."""
    values = np.unique(np.concatenate([one, other]))
    ends = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2, [values[-1] + 1]])
    found = []
    for inside, outside in ((one, other), (other, one)):
        table = error_table(len(outside), len(inside))
        codes = table.codes.reshape(len(outside) + 1, len(inside) + 1)
        for k, low in enumerate(ends):
            for high in ends[k + 1 :]:
                missed = ((inside < low) | (inside > high)).sum()
                called = ((outside > low) & (outside < high)).sum()
                if codes[called, missed] != DROPPED:
                    found.append(table.values[codes[called, missed]])
    return max(found, default=50.0)


def test_all_intervals():
    rng = np.random.default_rng(0)
    for number in range(12):
        one, other = rng.normal(size=8), rng.normal(size=9 + number % 3) * 2
        if number % 2:
            one, other = np.round(one), np.round(other)
        found = rank_quality(one[:, None], other[:, None])
        assert found.epsilon[0] == pytest.approx(by_force(one, other), abs=1e-12)


def test_only_the_order_counts():
    one, other = np.random.default_rng(1).normal(size=(2, 16, 5))
    found = rank_quality(one, other)
    stretched = rank_quality(np.exp(0.3 * one) * 1e4, np.exp(0.3 * other) * 1e4)
    np.testing.assert_array_equal(found.epsilon, stretched.epsilon)


def test_resampled_form():
    rng = np.random.default_rng(2)
    pool = np.round(rng.normal(size=(20, 4)), 1)
    dealt = permutations(9, 11, 20, rng)
    plain = [rank_quality(pool[a], pool[b]).value for a, b in zip(*dealt, strict=True)]
    np.testing.assert_allclose(resampled_rank_quality(pool, dealt), plain, rtol=0, atol=1e-12)


def test_constant_margins():
    steady = np.full((8, 2), 3.0)
    found = rank_quality(steady, steady)
    assert (found.value, found.epsilon.tolist(), found.undecided) == (1.0, [0.0, 0.0], 0)
    assert rank_quality(steady, steady + 1).epsilon.tolist() == [50.0, 50.0]


@pytest.mark.parametrize(("networks", "low", "high"), [(8, 0.150, 0.200), (32, 0.081, 0.103)])
def test_level_of_a_perfect_unlearner(networks, low, high):
    """The same for every continuous law: 0.175 at 8 networks a side, 0.092 at 32."""
    rng = np.random.default_rng(networks)
    for one, other in (
        rng.normal(size=(2, networks, 600)),
        rng.exponential(size=(2, networks, 600)),
    ):
        assert low < rank_quality(one, other).value < high
