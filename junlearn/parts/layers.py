"""Parts of a tree of parameters, by name or by kind."""

from collections.abc import Collection, Mapping
from itertools import accumulate

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.types import Array, Key, Model, PyTree

__all__ = [
    "extractor",
    "head",
    "in_layers",
    "last_half",
    "last_layers",
    "normalising",
    "redraw_convolutions",
    "redrawn",
]


def in_layers(params: PyTree, layers: Collection[str]) -> PyTree:
    """A tree of bools like `params`: True below the top-level groups named in `layers`."""
    return {
        name: jax.tree.map(lambda _, inside=name in layers: inside, group)
        for name, group in params.items()
    }


def head(model: Model, method: str) -> str:
    """The group of parameters that makes logits of the embedding. Raises ConfigError where it is not known."""
    if not model.layers:
        raise ConfigError(
            f"{method} must know the head: give the model its layers, input to output"
        )
    return model.layers[-1]


def extractor(model: Model, method: str) -> tuple[str, ...]:
    """All groups before the head, whose output is the embedding. Raises ConfigError as `head` does."""
    head(model, method)
    return model.layers[:-1]


def last_layers(model: Model, k: int) -> tuple[str, ...] | None:
    """The last of `model.layers` that hold k weight layers together, as `model.depths` counts them.

    For k = -1 it is None, which stands for all of them, named or not. Raises ConfigError where no layers have exactly
    k, and where the layers are not known.
    """
    if k == -1:
        return None
    if not model.layers:
        raise ConfigError(
            f"the last {k} layers must be known: give the model its layers, input to output"
        )
    depths = model.depths or (1,) * len(model.layers)
    sums = list(accumulate(reversed(depths)))
    if k not in sums:
        raise ConfigError(
            f"no layers at the end of this model hold exactly {k} weight layers: "
            f"choose one of {', '.join(map(str, dict.fromkeys(sums)))}, or -1 for all layers"
        )
    return model.layers[len(sums) - 1 - sums.index(k) :]


def last_half(model: Model) -> tuple[str, ...]:
    """The last of `model.layers` that hold at most half of its weight layers together, and at least the head.

    Of ResNet-18 they are stages 3 and 4 and the head. Raises ConfigError where the layers are not known.
    """
    head(model, "the last half of the layers")
    depths = model.depths or (1,) * len(model.layers)
    sums = accumulate(reversed(depths))
    return model.layers[-max(sum(2 * held <= sum(depths) for held in sums), 1) :]


def normalising(params: PyTree) -> PyTree:
    """A tree of bools like `params`: True in BatchNorm and its kind, whose groups in Flax have a "scale"."""

    def walk(node: PyTree, inside: bool) -> PyTree:
        if not isinstance(node, Mapping):
            return inside
        norm = "scale" in node and not isinstance(node["scale"], Mapping)
        return {name: walk(child, norm) for name, child in node.items()}

    return walk(params, False)


def redrawn(key: Key, params: PyTree) -> PyTree:
    """Weights as PyTorch begins with them: uniform within 1 / sqrt(fan_in). Arrays of one axis, biases, are 0."""
    leaves, structure = jax.tree.flatten(params)

    def fresh(key: Key, leaf: Array) -> Array:
        if leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        bound = float(1 / np.sqrt(np.prod(leaf.shape[:-1])))
        return jax.random.uniform(key, (leaf.size,), leaf.dtype, -bound, bound).reshape(leaf.shape)

    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, list(map(fresh, keys, leaves)))


def redraw_convolutions(key: Key, params: PyTree) -> PyTree:
    """A copy of `params` with every convolution kernel drawn Xavier-uniform. Raises ConfigError if there is none."""
    leaves, structure = jax.tree.flatten(params)
    if all(leaf.ndim != 4 for leaf in leaves):
        raise ConfigError("the network has no convolutions whose kernels could be drawn again")

    def fresh(key: Key, leaf: Array) -> Array:
        if leaf.ndim != 4:
            return jnp.array(leaf)
        *window, inputs, outputs = leaf.shape
        bound = float(np.sqrt(6 / (np.prod(window) * (inputs + outputs))))
        return jax.random.uniform(key, (leaf.size,), leaf.dtype, -bound, bound).reshape(leaf.shape)

    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, list(map(fresh, keys, leaves)))
