"""What is found without sorting, against NumPy's sort."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.parts.importance import percentile_of_ratios
from junlearn.parts.order_statistics import at_rank, smallest
from tests.engine.counting import lowered

KINDS = {
    "different": lambda rng, n: rng.normal(size=n),
    "many equal": lambda rng, n: np.round(rng.normal(size=n)),
    "not negative": lambda rng, n: np.abs(rng.normal(size=n)),
    "all equal": lambda rng, n: np.full(n, -2.5),
    "both zeros": lambda rng, n: rng.choice([-0.0, 0.0, 1e-30, -1.0], n),
    "without end": lambda rng, n: rng.choice([-np.inf, np.inf, np.nan, -np.nan, 3.0, -1.0], n),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_ranks_are_those_of_a_stable_sort(kind, dtype):
    values = KINDS[kind](np.random.default_rng(0), 200).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        given = jnp.asarray(values)
        order = np.argsort(values.astype(np.float64), kind="stable")
        for rank in (0, 1, 77, 198, 199):
            found = float(at_rank(given, rank))
            np.testing.assert_array_equal(found, float(values[order[rank]]))
        for count in (0, 1, 77, 199, 200):
            expected = np.zeros(200, bool)
            expected[order[:count]] = True
            np.testing.assert_array_equal(smallest(given, count), expected)
    assert given.dtype == dtype


def test_one_program_serves_every_rank_and_count():
    values = np.random.default_rng(2).normal(size=33).astype(np.float32)
    at_rank(values, 0)
    smallest(values, 0)
    with lowered() as anew:
        at_rank(-values, 7)
        smallest(-values, 32)
    assert anew == []


@pytest.mark.parametrize("percentile", [0.0, 12.5, 50.0, 99.3, 100.0])
def test_percentile_of_ratios(percentile):
    rng = np.random.default_rng(1)
    top, bottom = (rng.random(301).astype(np.float32) for _ in range(2))
    bottom[::7] = 0
    expected = np.percentile(top[bottom > 0] / bottom[bottom > 0], percentile)
    trees = ([values[:100], values[100:].reshape(3, 67)] for values in (top, bottom))
    assert percentile_of_ratios(*trees, percentile) == pytest.approx(expected, rel=1e-4)


def test_percentile_of_no_ratio_is_no_number():
    assert np.isnan(percentile_of_ratios(jnp.ones(3), jnp.zeros(3), 50.0))
