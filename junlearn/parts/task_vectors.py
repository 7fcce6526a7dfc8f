"""Task vectors: what fine-tuning adds to the weights, their merge by consensus of signs, and the step away from them.

    (T1)  d_i = theta_i - theta0,  i = 1..M
    (T2)  d = mean_i d_i  where all d_i are > 0 or all are < 0,  else 0          entry by entry
    (T3)  theta = theta0 - s d

An entry that a single fine-tuned network left as it was has no consensus: its d is 0. The vectors are added up one by
one, so that no more than two trees of the size of the network are held, however many there are.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from junlearn.parts.trees import zeros
from junlearn.types import Array, PyTree

__all__ = ["Consensus", "empty", "merged", "negate", "observe"]


class Consensus(NamedTuple):
    """The task vectors so far."""

    total: PyTree
    """Their sum."""
    signs: PyTree
    """int32: the sum of their signs; as large as `seen`, up or down, where all agree."""
    seen: Array
    """int32[]: how many there are."""


def empty(start: PyTree) -> Consensus:
    """Before the first vector; `start` is the tree of theta0."""
    signs = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.int32), start)
    return Consensus(zeros(start), signs, jnp.zeros((), jnp.int32))


def observe(consensus: Consensus, start: PyTree, tuned: PyTree) -> Consensus:
    """With (T1) of one more fine-tuned network."""
    vector = jax.tree.map(jnp.subtract, tuned, start)
    return Consensus(
        jax.tree.map(jnp.add, consensus.total, vector),
        jax.tree.map(
            lambda signs, leaf: signs + jnp.sign(leaf).astype(jnp.int32), consensus.signs, vector
        ),
        consensus.seen + 1,
    )


def merged(consensus: Consensus) -> PyTree:
    """(T2)."""

    def leaf(total: Array, signs: Array) -> Array:
        agreed = jnp.abs(signs) == consensus.seen
        return jnp.where(agreed, total / consensus.seen, 0).astype(total.dtype)

    return jax.tree.map(leaf, consensus.total, consensus.signs)


def negate(start: PyTree, vector: PyTree, scale: float | Array) -> PyTree:
    """(T3)."""
    return jax.tree.map(lambda leaf, d: leaf - jnp.asarray(scale, leaf.dtype) * d, start, vector)
