"""The weights of two bargaining gradients: the equations that they solve, and what happens at their edges."""

import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.parts import bargaining


def trees(first, second):
    return [{"a": jnp.asarray(g[:3]), "b": jnp.asarray(g[3:])} for g in (first, second)]


def solved(rule, first, second):
    return np.array(rule(bargaining.gram(*trees(first, second))))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
@pytest.mark.parametrize("agreement", [-0.99, -0.3, 0.0, 0.8, 1.0])
def test_the_exact_weights_solve_the_game(agreement, scale, float64):
    one = np.zeros(5)
    one[1] = 3.0
    two = scale * np.array([0, agreement, 0, 0, np.sqrt(1 - agreement**2)])
    w = solved(bargaining.exact, one, two)
    products = np.array([[one @ one, one @ two], [one @ two, two @ two]])
    np.testing.assert_allclose(products @ w, 1 / w, rtol=1e-9)
    step = w[0] * one + w[1] * two
    np.testing.assert_allclose(step @ step, 2, rtol=1e-9)
    np.testing.assert_allclose(step @ one / 3, step @ two / scale, rtol=1e-9)


def test_the_released_weights_are_the_exact_ones_of_large_gradients_alone(float64):
    rng = np.random.default_rng(0)
    one, two = 1e3 * rng.normal(size=(2, 7))
    exact = solved(bargaining.exact, one, two)
    np.testing.assert_allclose(solved(bargaining.released, one, two), exact, rtol=1e-6)
    found = solved(bargaining.released, 1e-7 * one, two)
    wanted = solved(bargaining.exact, 1e-7 * one, two)
    assert abs(found[0] / wanted[0] - 1) > 0.5


def test_where_the_released_formula_fails_it_falls_back():
    one, two = np.array([1e-6, 0, 0, 0, 0]), np.array([-1.0, 1, 0, 0, 0])
    np.testing.assert_allclose(solved(bargaining.released, one, two), [1, 0.1])
    np.testing.assert_allclose(solved(bargaining.released, np.zeros(5), two), [1, 0.1])


def test_a_gradient_of_zero_leaves_the_other_one():
    none, some = np.zeros(5), np.array([0, 2.0, 0, 0, 1])
    for pair in ((none, some), (some, none), (none, none)):
        np.testing.assert_array_equal(solved(bargaining.exact, *pair), [1, 1])


def test_opposed_gradients_have_finite_weights():
    one = np.array([1.0, 0, 0, 0, 0])
    np.testing.assert_allclose(solved(bargaining.exact, one, -2 * one), [1e3, 5e2], rtol=1e-4)
