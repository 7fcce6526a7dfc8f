"""Labels that stand in for those of the data."""

from junlearn.types import Array

__all__ = ["relabel"]


def relabel(labels: Array, draws: Array) -> Array:
    """The `draws[N]`-th (in 0..K-2) of the classes other than `labels[N]`, in ascending order.

    Draws that are uniform give a uniform label out of the K - 1 others.
    """
    return draws + (draws >= labels)
