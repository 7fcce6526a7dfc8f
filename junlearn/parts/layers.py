"""Parts of a tree of parameters, by name or by kind."""

from collections.abc import Collection, Mapping
from itertools import accumulate

import jax

from junlearn.errors import ConfigError
from junlearn.types import Model, PyTree

__all__ = [
    "convolutions",
    "extractor",
    "head",
    "in_layers",
    "last_half",
    "last_layers",
    "normalising",
    "stem",
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


def stem(model: Model, method: str) -> str:
    """The group of parameters that reads the image. Raises ConfigError where it is not known."""
    if not model.layers:
        raise ConfigError(
            f"{method} must know the stem: give the model its layers, input to output"
        )
    return model.layers[0]


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


def convolutions(params: PyTree, method: str) -> PyTree:
    """A tree of bools like `params`: True at the kernels of convolutions, 1x1 and depthwise ones too.

    They are the arrays of four axes, (height, width, inputs of a group, outputs). Raises ConfigError if there is none.
    """
    found = jax.tree.map(lambda leaf: leaf.ndim == 4, params)
    if not any(jax.tree.leaves(found)):
        raise ConfigError(
            f"{method} changes the kernels of convolutions, and the network has no convolutions"
        )
    return found
