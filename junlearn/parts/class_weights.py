"""Weights of classes by how often they come: n_k examples of each of K classes.

    (W1)  power  w_k = n_k^-a

A class without examples has weight 0, which nothing reads.
"""

import jax.numpy as jnp
import numpy as np

from junlearn.types import Array, Model, Sources, Split, Variables

__all__ = ["counts", "power"]


def counts(model: Model, variables: Variables, sources: Sources, split: Split) -> np.ndarray:
    """int[K]: how many retain examples have each label."""
    labels = np.asarray(sources["train"].y)[split.retain]
    return np.bincount(labels, minlength=model.num_classes(variables, sources))


def power(counts: np.ndarray, exponent: float) -> Array:
    """Equation W1 of the counts [K], with a = `exponent`."""
    present = counts > 0
    weights = np.where(present, np.where(present, counts, 1.0) ** -exponent, 0.0)
    return jnp.asarray(weights, jnp.result_type(float))
