"""Parts of a tree of parameters."""

from collections.abc import Collection

import jax

from junlearn.errors import ConfigError
from junlearn.types import Model, PyTree

__all__ = ["extractor", "head", "in_layers"]


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
