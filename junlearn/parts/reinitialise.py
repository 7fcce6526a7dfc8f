"""Fresh weights: draws of the usual distributions for some or all arrays of a network.

The fan-in of a kernel is the number of inputs of one of its outputs, the fan-out (as PyTorch counts it) the number of
its outputs times the size of its window. A bias has the fan-in of the kernel beside it.

    uniform       U(-1, 1) / sqrt(fan_in)     what PyTorch draws linear layers, convolutions and their biases from
    normal        N(0, 2 / fan_out)           what ResNets draw their convolutions from
    Xavier        U(-1, 1) sqrt(6 / (fan_in + fan_out))

The first two scale draws that they are given, `unit_uniform` and `unit_normal`, of which every array has its own.
"""

from collections.abc import Callable, Collection, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.parts.layers import convolutions
from junlearn.types import Array, Key, PyTree

__all__ = [
    "fan_ins",
    "normal_fan_out",
    "redraw_convolutions",
    "redrawn",
    "refreshed",
    "uniform_fan_in",
    "unit_normal",
    "unit_uniform",
]


def unit_uniform(key: Key, params: PyTree) -> PyTree:
    """Draws from U(0, 1) in the shapes of `params`."""
    return _each(key, params, lambda key, leaf: jax.random.uniform(key, leaf.shape, leaf.dtype))


def unit_normal(key: Key, params: PyTree) -> PyTree:
    """Draws from N(0, 1) in the shapes of `params`."""
    return _each(key, params, lambda key, leaf: jax.random.normal(key, leaf.shape, leaf.dtype))


def uniform_fan_in(unit: Array, fan_in: int) -> Array:
    """Draws `unit` from U(0, 1) as draws from U(-1, 1) / sqrt(fan_in)."""
    return (2 * unit - 1) / float(np.sqrt(fan_in))


def normal_fan_out(unit: Array) -> Array:
    """Draws `unit` from N(0, 1), in the shape of a kernel, as draws from N(0, 2 / fan_out)."""
    *window, _, outputs = unit.shape
    return unit * float(np.sqrt(2 / (np.prod(window) * outputs)))


def fan_ins(params: PyTree) -> PyTree:
    """A tree of ints like `params`: the fan-in of every kernel and of the bias beside it; 0 elsewhere.

    Kernels are the arrays of two axes (matrices) and of four (convolutions).
    """

    def walk(node: PyTree) -> PyTree:
        if not isinstance(node, Mapping):
            return int(np.prod(node.shape[:-1])) if node.ndim in (2, 4) else 0
        found = {name: walk(child) for name, child in node.items()}
        if isinstance(found.get("kernel"), int) and isinstance(found.get("bias"), int):
            found["bias"] = found["kernel"]
        return found

    return walk(params)


def refreshed(params: PyTree, unit: PyTree, layers: Collection[str]) -> PyTree:
    """`params` with the kernels and biases of the top-level groups in `layers` made of `unit`, draws from U(0, 1).

    What normalises (BatchNorm's scale and shift) has no fan-in and stays.
    """

    def fresh(leaf: Array, draws: Array, fan_in: int) -> Array:
        return uniform_fan_in(draws, fan_in) if fan_in else leaf

    trees = (params, unit, fan_ins(params))
    return params | {name: jax.tree.map(fresh, *(tree[name] for tree in trees)) for name in layers}


def redrawn(key: Key, params: PyTree) -> PyTree:
    """Weights as PyTorch begins with them: uniform within 1 / sqrt(fan_in). Arrays of one axis, biases, are 0."""

    def fresh(key: Key, leaf: Array) -> Array:
        if leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        bound = float(1 / np.sqrt(np.prod(leaf.shape[:-1])))
        return jax.random.uniform(key, (leaf.size,), leaf.dtype, -bound, bound).reshape(leaf.shape)

    return _each(key, params, fresh)


def redraw_convolutions(key: Key, params: PyTree, method: str) -> PyTree:
    """A copy of `params` with every convolution kernel drawn Xavier-uniform; `method` asks for it.

    Raises ConfigError if there is none.
    """
    convolutions(params, method)

    def fresh(key: Key, leaf: Array) -> Array:
        if leaf.ndim != 4:
            return jnp.array(leaf)
        *window, inputs, outputs = leaf.shape
        bound = float(np.sqrt(6 / (np.prod(window) * (inputs + outputs))))
        return jax.random.uniform(key, (leaf.size,), leaf.dtype, -bound, bound).reshape(leaf.shape)

    return _each(key, params, fresh)


def _each(key: Key, params: PyTree, draw: Callable[[Key, Array], Array]) -> PyTree:
    """`draw(key, leaf)` of every array, with a key of its own."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, list(map(draw, keys, leaves)))
