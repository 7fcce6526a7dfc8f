"""Products of a matrix of second derivatives with a vector of the size of the network; the matrix is never formed.

    hessian        H = sum_i d2 l_i / d theta2              of the cross entropies l_i
    gauss_newton   G = sum_i J_i^T (d2 l_i / d z2) J_i      J_i the derivatives of the logits z of an example
    fisher         F = sum_i g_i g_i^T                      g_i = d l_i / d theta, the empirical Fisher information

The sums go over the examples of a batch, and those of several batches add up. G is what is left of H where the logits
are taken for linear in theta. H of a network can have negative eigenvalues, G and F are positive semidefinite. The
network is in eval mode: with the statistics of a batch no example has a loss of its own. A product costs about two
gradients of the batch and takes memory for a few of them, however many examples there are.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from junlearn.parts.losses import margin_entropy
from junlearn.types import Array, Batch, Model, PyTree, Variables

__all__ = ["Matrix", "gradient", "product"]

Matrix = Literal["gauss_newton", "hessian", "fisher"]


def gradient(model: Model, variables: Variables, batch: Batch) -> PyTree:
    """The sum of the gradients of the examples' cross entropies, in eval mode."""
    entropies = _entropies(model, variables, batch)
    return jax.grad(lambda params: entropies(params).sum())(variables.params)


def product(
    model: Model, variables: Variables, batch: Batch, vector: PyTree, matrix: Matrix
) -> PyTree:
    """The matrix of the examples of `batch` times `vector`, which is a tree like the parameters."""
    params = variables.params
    # An operator that is symmetric up to a few digits is not what the solvers are made for.
    with jax.default_matmul_precision("highest"):
        if matrix == "gauss_newton":
            return _gauss_newton(model, variables, batch, vector)
        entropies = _entropies(model, variables, batch)
        if matrix == "fisher":
            _, slopes = jax.jvp(entropies, (params,), (vector,))
            return jax.vjp(entropies, params)[1](slopes)[0]
        total = jax.grad(lambda params: entropies(params).sum())
        return jax.jvp(total, (params,), (vector,))[1]


def _gauss_newton(model: Model, variables: Variables, batch: Batch, vector: PyTree) -> PyTree:
    def logits(params: PyTree) -> Array:
        return model.apply(variables._replace(params=params), batch.x)[0]

    def slope(z: Array) -> Array:
        return jax.grad(lambda z: _masked(z, batch).sum())(z)

    z, change = jax.jvp(logits, (variables.params,), (vector,))
    _, bent = jax.jvp(slope, (z,), (change,))
    return jax.vjp(logits, variables.params)[1](bent)[0]


def _entropies(model: Model, variables: Variables, batch: Batch) -> Callable[[PyTree], Array]:
    """`params -> [B]`: the cross entropy of each example, 0 outside of the mask."""

    def entropies(params: PyTree) -> Array:
        return _masked(model.apply(variables._replace(params=params), batch.x)[0], batch)

    return entropies


def _masked(logits: Array, batch: Batch) -> Array:
    return jnp.where(batch.mask, margin_entropy(logits, batch.y), 0)
