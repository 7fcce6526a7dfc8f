"""Weights of classes by how often they come: n_k of n examples for each of K classes, of which P have any.

    (W1)  power     w_k = n_k^-a
    (W2)  balanced  w_k = n / (P n_k),   whose mean over the examples is 1

A class without examples has weight 0, which nothing reads.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from junlearn.types import Array, Model, Sources, Split, Variables

__all__ = ["balanced", "counts", "power"]


def counts(model: Model, variables: Variables, sources: Sources, split: Split) -> np.ndarray:
    """int[K]: how many retain examples have each label."""
    labels = np.asarray(sources["train"].y)[split.retain]
    return np.bincount(labels, minlength=model.num_classes(variables, sources))


def power(counts: np.ndarray, exponent: float) -> Array:
    """Equation W1 of the counts [K], with a = `exponent`."""
    return _of_present(counts, lambda present: present**-exponent)


def balanced(counts: np.ndarray) -> Array:
    """Equation W2 of the counts [K]."""
    return _of_present(counts, lambda present: counts.sum() / (len(present) * present))


def _of_present(counts: np.ndarray, weigh: Callable[[np.ndarray], np.ndarray]) -> Array:
    weights = np.zeros(len(counts))
    weights[counts > 0] = weigh(counts[counts > 0].astype(float))
    return jnp.asarray(weights, jnp.result_type(float))
