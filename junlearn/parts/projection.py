"""A direction without its part in the span of the gradients of examples, which are never held all at once.

    (G1)  A = [g_1, .., g_B]:  the gradients of B examples as columns, n entries each
    (G2)  v - A w,   (A^T A + r I) w = A^T v,   r = ridge trace(A^T A) / B

The losses of the examples are one function of the parameters. Its derivative along v is A^T v, and its transposed
derivative at w is A w: a pass over the batch each. Only the Gram matrix A^T A takes single gradients, as many at once
as memory allows; two such groups are held at a time. A well-fitted example has a gradient of 0, so A^T A has no inverse
and needs r, which is no less than the precision of the numbers.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from junlearn.parts.gradients import group_size
from junlearn.types import Array, PyTree

__all__ = ["coefficients", "gram_matrix"]


def gram_matrix(gradient: Callable[[PyTree], PyTree], rows: PyTree) -> Array:
    """[B,B]: the inner products of `gradient(row)`, row by row; leaves of `rows` have the batch axis first."""
    count = jax.tree.leaves(rows)[0].shape[0]
    first = jax.tree.map(lambda leaf: leaf[0], rows)
    size = group_size(jax.eval_shape(gradient, first), count)
    groups = -(-count // size)

    def deal(leaf: Array) -> Array:
        """[groups, size, ...], the last row again and again at the end."""
        filled = jnp.concatenate([leaf, jnp.repeat(leaf[-1:], groups * size - count, axis=0)])
        return filled.reshape(groups, size, *leaf.shape[1:])

    def products(some: PyTree, others: PyTree) -> Array:
        def leaf(a: Array, b: Array) -> Array:
            return a.reshape(size, -1) @ b.reshape(size, -1).T

        return sum(jax.tree.leaves(jax.tree.map(leaf, some, others)), jnp.zeros(()))

    many, dealt = jax.vmap(gradient), jax.tree.map(deal, rows)
    if groups == 1:
        alone = many(rows)
        return products(alone, alone)

    def against_all(group: PyTree) -> Array:
        some = many(group)
        return lax.map(lambda other: products(some, many(other)), dealt)

    # [groups, groups, size, size]: pairs of groups, then pairs of rows.
    blocks = lax.map(against_all, dealt).swapaxes(1, 2)
    return blocks.reshape(groups * size, groups * size)[:count, :count]


def coefficients(gram: Array, along: Array, ridge: float) -> Array:
    """The w of equation G2 for A^T A and A^T v; B does not count examples whose gradient is 0."""
    precision = jnp.finfo(gram.dtype)
    squares = jnp.diagonal(gram)
    least = max(ridge, float(precision.eps))
    r = least * squares.sum() / jnp.maximum((squares > 0).sum(), 1)
    values, vectors = jnp.linalg.eigh(gram)
    damped = jnp.maximum(values, 0) + r
    # Below this, squares of gradients have lost their digits, and quotients could overflow.
    kept = damped > float(precision.tiny) / float(precision.eps)
    return vectors @ jnp.where(kept, vectors.T @ along / jnp.where(kept, damped, 1), 0)
