"""Gumbel noise on logits: the argmax of both is a draw from the probabilities."""

from typing import NamedTuple

import jax

from junlearn.types import Array, Key

__all__ = ["Noise", "draw"]


class Noise(NamedTuple):
    """Gumbel draws of the batch."""

    hard: Array
    """G [B,K]."""
    soft: Array
    """G' [B,K]."""


def draw(key: Key, index: Array, classes: int) -> Noise:
    """G and G' for the examples `index[B]`, each of which has draws of its own."""

    def one(number: Array) -> Array:
        return jax.random.gumbel(jax.random.fold_in(key, number), (2, classes))

    both = jax.vmap(one)(index)
    return Noise(both[:, 0], both[:, 1])
