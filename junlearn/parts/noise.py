"""Gaussian noise on a tree of parameters, and the ball that it hides a network in."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.types import Array, Key, PyTree

__all__ = ["added", "ball", "draw"]


def draw(key: Key, params: PyTree) -> PyTree:
    """Standard normal noise for every number of `params`, one stream for all arrays of a dtype."""
    leaves, structure = jax.tree.flatten(params)
    dtypes = list(dict.fromkeys(leaf.dtype for leaf in leaves))
    noise: dict[int, Array] = {}
    for each, dtype in zip(jax.random.split(key, len(dtypes)), dtypes, strict=True):
        places = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        ends = np.cumsum([leaves[i].size for i in places])
        # Drawn flat and at once: XLA compiles a draw of several axes many times longer, and every draw anew.
        drawn = jnp.split(jax.random.normal(each, (ends[-1],), dtype), ends[:-1])
        for i, part in zip(places, drawn, strict=True):
            noise[i] = part.reshape(leaves[i].shape)
    return jax.tree.unflatten(structure, [noise[i] for i in range(len(leaves))])


def added(params: PyTree, noise: PyTree, sigma: Array | float) -> PyTree:
    """`params` + `sigma` * `noise`."""
    return jax.tree.map(lambda w, n: w + jnp.asarray(sigma, w.dtype) * n, params, noise)


def ball(tree: PyTree, radius: float) -> PyTree:
    """`tree` scaled by min(1, radius/|tree|), the norm of all arrays together: the nearest one in a ball."""
    norm = optax.tree.norm(tree)
    scale = jnp.minimum(1.0, radius / jnp.where(norm > 0, norm, 1.0))
    return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), tree)
