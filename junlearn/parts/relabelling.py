"""Labels that stand in for those of the data."""

import jax

from junlearn.types import Array, Key

__all__ = ["drawn", "relabel"]


def drawn(key: Key, index: Array, count: int | Array) -> Array:
    """int32[B]: uniform in 0..count-1 for the examples `index[B]`, each of which has a draw of its own."""

    def one(number: Array) -> Array:
        return jax.random.randint(jax.random.fold_in(key, number), (), 0, count)

    return jax.vmap(one)(index)


def relabel(labels: Array, draws: Array) -> Array:
    """The `draws[N]`-th (in 0..K-2) of the classes other than `labels[N]`, in ascending order.

    Draws that are uniform give a uniform label out of the K - 1 others.
    """
    return draws + (draws >= labels)
