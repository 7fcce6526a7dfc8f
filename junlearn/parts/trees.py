"""Trees of arrays that are made on the host, where a program of its own would be compiled for every shape."""

import jax
import numpy as np

from junlearn.types import PyTree

__all__ = ["zeros"]


def zeros(tree: PyTree) -> PyTree:
    """Zeros of the shapes and dtypes of `tree`, in NumPy."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)
