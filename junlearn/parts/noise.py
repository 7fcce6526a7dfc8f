"""Gaussian noise on a tree of parameters, and the ball that it hides a network in."""

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from junlearn.types import Array, Key, PyTree

__all__ = ["added", "ball", "draw"]


def draw(key: Key, params: PyTree) -> PyTree:
    """Standard normal noise for every number of `params`, one stream for all arrays; drawn in their common dtype."""
    flat, whole = ravel_pytree(params)
    (own,) = jax.random.split(key, 1)
    # Drawn flat and at once: XLA compiles a draw of several axes many times longer, and every draw anew.
    return whole(jax.random.normal(own, flat.shape, flat.dtype))


def added(params: PyTree, noise: PyTree, sigma: Array | float) -> PyTree:
    """`params` + `sigma` * `noise`."""
    return jax.tree.map(lambda w, n: w + jnp.asarray(sigma, w.dtype) * n, params, noise)


def ball(tree: PyTree, radius: float) -> PyTree:
    """`tree` scaled by min(1, radius/|tree|), the norm of all arrays together: the nearest one in a ball."""
    norm = optax.tree.norm(tree)
    scale = jnp.minimum(1.0, radius / jnp.where(norm > 0, norm, 1.0))
    return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), tree)
