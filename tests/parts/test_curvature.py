"""Products with matrices of second derivatives, against the matrices themselves."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from junlearn.parts import curvature
from junlearn.types import Batch, Model, Variables


def _apply(variables, x, *, train=False, key=None, mask=None):
    hidden = jnp.tanh(x @ variables.params["in"])
    return hidden @ variables.params["out"], {"embedding": hidden}, variables.stats


MODEL = Model(lambda key, x: Variables({}, {}), _apply, layers=("in", "out"))


def drawn():
    """Small weights, and four rows of which the second does not count."""
    rng = np.random.default_rng(3)
    params = {"in": rng.normal(size=(3, 4)), "out": rng.normal(size=(4, 3))}
    x = jnp.asarray(rng.normal(size=(4, 3)))
    batch = Batch(x, jnp.array([0, 2, 1, 1]), jnp.arange(4), jnp.array([True, False, True, True]))
    return Variables(jax.tree.map(jnp.asarray, params), {}), batch


def test_products_and_the_gradient(float64):
    """G and F from the derivatives of the logits, H from the difference of two gradients."""
    variables, batch = drawn()
    theta, unravel = ravel_pytree(variables.params)
    kept, vector = np.asarray(batch.mask), np.linspace(-1, 1, theta.size)

    def logits(theta):
        return _apply(variables._replace(params=unravel(theta)), batch.x)[0]

    outward = np.asarray(jax.jacobian(logits)(theta))[kept]
    p = np.asarray(jax.nn.softmax(logits(theta)))[kept]
    slopes = np.einsum("nk,nkp->np", p - np.eye(3)[np.asarray(batch.y)[kept]], outward)
    moved = outward @ vector

    @jax.jit
    def gradient(theta):
        now = variables._replace(params=unravel(theta))
        return ravel_pytree(curvature.gradient(MODEL, now, batch))[0]

    step = 1e-5
    np.testing.assert_allclose(gradient(theta), slopes.sum(0), rtol=1e-9, atol=1e-12)
    expected = {
        "hessian": (gradient(theta + step * vector) - gradient(theta - step * vector)) / 2 / step,
        "gauss_newton": np.einsum(
            "nkp,nk->p", outward, p * (moved - (p * moved).sum(1, keepdims=True))
        ),
        "fisher": slopes.T @ (slopes @ vector),
    }
    direction = unravel(jnp.asarray(vector))
    for matrix in get_args(curvature.Matrix):
        found = ravel_pytree(curvature.product(MODEL, variables, batch, direction, matrix))[0]
        digits = 1e-8 if matrix == "hessian" else 1e-12
        np.testing.assert_allclose(found, expected[matrix], rtol=digits, atol=digits)
