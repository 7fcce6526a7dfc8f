"""Per-example gradients: the empirical Fisher diagonal in bounded memory, and Jacobians."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from optax import microbatching

from junlearn.types import Array, PyTree

__all__ = ["jacobians", "sum_of_squares"]


def sum_of_squares(
    loss: Callable[[PyTree, PyTree], Array],
    params: PyTree,
    rows: PyTree,
    mask: Array,
    *,
    microbatch: int | None = None,
) -> PyTree:
    """Sum over the rows with `mask[B]` True of the squared gradient of `loss(params, row)`.

    `loss` gets the rows one at a time, each leaf with a batch axis of 1, so ordinary batch code works unchanged; the
    network must run in eval mode (with batch statistics a per-example gradient is not defined). Divided by the number
    of rows this is the diagonal of the empirical Fisher information.

    At most `microbatch` gradients are held at once; B is padded up to a multiple of it. None: one on a CPU, where a
    gradient that stays in the cache is several times faster than many that do not, and all B elsewhere.
    """
    size = mask.shape[0]
    if microbatch is None:
        microbatch = 1 if jax.default_backend() == "cpu" else size
    padding = -size % microbatch

    def widen(leaf: Array) -> Array:
        return jnp.concatenate([leaf, jnp.repeat(leaf[:1], padding, axis=0)]) if padding else leaf

    rows = jax.tree.map(widen, rows)
    weight = jnp.concatenate([mask, jnp.zeros(padding, mask.dtype)])

    def weighted(params: PyTree, row: PyTree, keep: Array) -> Array:
        return jnp.where(keep[0], loss(params, row), 0.0)

    total, _ = microbatching.micro_grad(
        weighted,
        batch_argnums=(1, 2),
        microbatch_size=microbatch,
        accumulator=microbatching.AccumulationType.SUM,
        transform_fn=lambda gradient: jax.tree.map(jnp.square, gradient),
    )(params, rows, weight)
    return total


def jacobians(outputs: Callable[[PyTree, Array], Array], params: PyTree, x: Array) -> Array:
    """The derivatives of `outputs(params, x[B,...])[B,K]` of every row in every parameter: [B,K,P].

    P runs over the leaves of `params` in tree order, as `jax.flatten_util.ravel_pytree` does. On a CPU one example at a
    time, as in `sum_of_squares`.
    """

    def row(x: Array) -> Array:
        tree = jax.jacrev(lambda params: outputs(params, x[None])[0])(params)
        leaves = jax.tree.leaves(tree)
        return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)

    return jax.lax.map(row, x) if jax.default_backend() == "cpu" else jax.vmap(row)(x)
