"""Per-example gradients: diagonals of the Fisher information in bounded memory, and Jacobians."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from junlearn.parts.passes import along_rows
from junlearn.types import Array, Model, PyTree, Variables

__all__ = [
    "Power",
    "by_example",
    "derivative",
    "group_size",
    "jacobians",
    "power_of",
    "sum_of_powers",
]

Power = Literal[1, 2]
"""2: squares; 1: absolute values."""

CHUNK_BYTES = 256 << 20
"""Memory for the gradients of several examples at once, elsewhere than on a CPU."""


def sum_of_powers(
    model: Model,
    variables: Variables,
    x: Array,
    mask: Array,
    losses: Callable[[Array], Array],
    power: Power = 2,
) -> PyTree:
    """Sum over the rows with `mask[B]` True, and over the M losses of each, of |d loss / d params|^power.

    `losses(logits[B,K]) -> [M,B]` must work row by row; the network runs in eval mode (with batch statistics a
    per-example gradient is not defined). Divided by the number of rows, the squares of the cross entropy against the
    labels are the diagonal of the empirical Fisher information.

    One forward pass over the whole batch and M backward passes, where `Model.examplewise` knows the network; else a
    pass for every example, with the same result.
    """
    x = jnp.where(along_rows(mask, x), x, 0)
    forward = model.examplewise and model.examplewise(variables, x, power)
    if forward is not None:
        logits, pull = jax.vjp(forward, variables.params)
    else:
        logits, _, _ = model.apply(variables, x)

        def one(params: PyTree, row: Array) -> Array:
            return model.apply(variables._replace(params=params), row[None])[0][0]

        def pull(cotangent: Array) -> tuple[PyTree]:
            return (by_example(derivative(one, variables.params), (x, cotangent), power),)

    values, back = jax.vjp(lambda logits: jnp.where(mask[None], losses(logits), 0), logits)
    # Row m: what the m-th loss of every example sends back to its logits.
    (cotangents,) = jax.vmap(lambda pick: back(jnp.broadcast_to(pick[:, None], values.shape)))(
        jnp.eye(len(values), dtype=values.dtype)
    )
    if len(cotangents) == 1:
        return pull(cotangents[0])[0]

    def add(total: PyTree, cotangent: Array) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, pull(cotangent)[0]), None

    return lax.scan(add, jax.tree.map(jnp.zeros_like, variables.params), cotangents)[0]


def derivative(
    function: Callable[[PyTree, PyTree], PyTree], params: PyTree
) -> Callable[[tuple[PyTree, PyTree]], PyTree]:
    """`(row, cotangent) -> gradient in params` of `function(params, row)`, for `by_example`."""

    def gradient(pair: tuple[PyTree, PyTree]) -> PyTree:
        row, cotangent = pair
        return jax.vjp(lambda params: function(params, row), params)[1](cotangent)[0]

    return gradient


def by_example(
    gradient: Callable[[PyTree], PyTree], rows: PyTree, power: Power, floats: int = 0
) -> PyTree:
    """Sum over the rows of |gradient(row)|^power; every leaf of `rows` has the batch axis first.

    One row after the other on a CPU, where a gradient that stays in the cache is several times faster than many that
    do not, and elsewhere as many at once as memory allows. `floats`: how many numbers one of them takes beside itself.
    """
    first = jax.tree.map(lambda leaf: leaf[0], rows)
    shape = jax.eval_shape(gradient, first)
    count = jax.tree.leaves(rows)[0].shape[0]
    total = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    if jax.default_backend() == "cpu":

        def add_one(total: PyTree, row: PyTree) -> tuple[PyTree, None]:
            return jax.tree.map(lambda t, g: t + power_of(g, power), total, gradient(row)), None

        return lax.scan(add_one, total, rows)[0]

    size = group_size(shape, count, floats)
    padding = -count % size

    def deal(leaf: Array) -> Array:
        """[chunks, size, ...]: neighbours in a batch go to different chunks, as devices hold neighbours."""
        # A zero row has a zero cotangent, and so a gradient of zero.
        leaf = jnp.concatenate([leaf, jnp.zeros((padding, *leaf.shape[1:]), leaf.dtype)])
        return leaf.reshape(size, -1, *leaf.shape[1:]).swapaxes(0, 1)

    def add_chunk(total: PyTree, chunk: PyTree) -> tuple[PyTree, None]:
        gradients = jax.vmap(gradient)(chunk)
        return jax.tree.map(lambda t, g: t + power_of(g, power).sum(0), total, gradients), None

    return lax.scan(add_chunk, total, jax.tree.map(deal, rows))[0]


def group_size(shape: PyTree, count: int, floats: int = 0) -> int:
    """How many gradients of this shape may be held at once, of `count`; `floats` as in `by_example`."""
    needed = 4 * (floats + sum(leaf.size for leaf in jax.tree.leaves(shape)))
    return min(max(CHUNK_BYTES // needed, 1), count)


def power_of(x: Array, power: Power) -> Array:
    """|x|^power."""
    return jnp.square(x) if power == 2 else jnp.abs(x)


def jacobians(outputs: Callable[[PyTree, Array], Array], params: PyTree, x: Array) -> Array:
    """The derivatives of `outputs(params, x[B,...])[B,K]` of every row in every parameter: [B,K,P].

    P runs over the leaves of `params` in tree order, as `jax.flatten_util.ravel_pytree` does. On a CPU one example at a
    time, as in `by_example`.
    """

    def row(x: Array) -> Array:
        tree = jax.jacrev(lambda params: outputs(params, x[None])[0])(params)
        leaves = jax.tree.leaves(tree)
        return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)

    return lax.map(row, x) if jax.default_backend() == "cpu" else jax.vmap(row)(x)
