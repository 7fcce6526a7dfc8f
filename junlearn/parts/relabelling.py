"""Labels that stand in for those of the data."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.types import Array, Key

__all__ = ["drawn", "relabel", "separate", "shared_candidates"]

Integers = TypeVar("Integers", Array, np.ndarray)
"""Numbers on the device or on the host."""


def drawn(key: Key, index: Array, count: int | Array) -> Array:
    """int32[B]: uniform in 0..count-1 for the examples `index[B]`, each of which has a draw of its own."""

    def one(number: Array) -> Array:
        return jax.random.randint(jax.random.fold_in(key, number), (), 0, count)

    return jax.vmap(one)(index)


def relabel(labels: Integers, draws: Integers) -> Integers:
    """The `draws[N]`-th (in 0..K-2) of the classes other than `labels[N]`, in ascending order.

    Draws that are uniform give a uniform label out of the K - 1 others.
    """
    return draws + (draws >= labels)


def shared_candidates(forget: Array, classes: int) -> Array:
    """bool[K]: the list of the release, the classes k with forget[k] != k; classes beyond the last pair are in it."""
    known = forget[:classes]
    return jnp.ones(classes, bool).at[: known.size].set(known != jnp.arange(known.size))


def separate(
    forget: Array, treatment: Array, ranks: Array, candidates: Array | None = None
) -> Array:
    """int32[P]: labels of the pairs, `treatment` where it is not `forget`, else a new one.

    The new one is the `ranks[j]`-th of the classes other than `forget[j]` in ascending order, or, as released, the
    `ranks[j]`-th of `candidates`.
    """
    if candidates is None:
        new = relabel(forget, ranks)
    else:
        new = jnp.argsort(~candidates, stable=True).astype(forget.dtype)[ranks]
    return jnp.where(treatment == forget, new, treatment)
