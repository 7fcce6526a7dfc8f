"""Gaussian noise on a tree of parameters, and the ball that it hides a network in."""

import jax
import jax.numpy as jnp
import optax

from junlearn.types import Array, Key, PyTree

__all__ = ["added", "ball", "draw"]


def draw(key: Key, params: PyTree) -> PyTree:
    """Standard normal noise, one independent stream an array."""

    def normal(key: Key, leaf: Array) -> Array:
        # Drawn flat: XLA compiles a draw of several axes many times longer.
        return jax.random.normal(key, (leaf.size,), leaf.dtype).reshape(leaf.shape)

    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    noise = [normal(k, leaf) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noise)


def added(params: PyTree, noise: PyTree, sigma: Array | float) -> PyTree:
    """`params` + `sigma` * `noise`."""
    return jax.tree.map(lambda w, n: w + jnp.asarray(sigma, w.dtype) * n, params, noise)


def ball(tree: PyTree, radius: float) -> PyTree:
    """`tree` scaled by min(1, radius/|tree|), the norm of all arrays together: the nearest one in a ball."""
    norm = optax.tree.norm(tree)
    scale = jnp.minimum(1.0, radius / jnp.where(norm > 0, norm, 1.0))
    return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), tree)
