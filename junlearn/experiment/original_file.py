"""An original network that comes from a file: it is to be unlearned, and nothing trains it.

`original` of a configuration says which: "trained" (no file), "given" (the file in `model.weights`), or a file of its
own. The file saw the data that are forgotten. So the retrained network does not start from it: with "given" from random
weights, else from `model.weights`, as any other run.
"""

import dataclasses
from typing import Any

import jax

from junlearn.errors import ConfigError
from junlearn.models.weights import file_digest, load_weights
from junlearn.types import Method, Model, Sources, Variables

__all__ = ["TRAINED", "check", "check_method", "file_of", "identity", "model_section", "network"]

TRAINED = "trained"
GIVEN = "given"


def file_of(experiment: Any) -> str | None:
    """The file that holds the original network; None: it is trained."""
    if experiment.original == TRAINED:
        return None
    return experiment.model.weights if experiment.original == GIVEN else experiment.original


def check(experiment: Any) -> None:
    """Raise ConfigError where `original` says nothing that can be."""
    if not experiment.original.strip():
        raise ConfigError('original: expected "trained", "given" or a file of weights, got \'\'')
    if experiment.original != GIVEN:
        return
    if getattr(experiment.model, "weights", None) is None:
        raise ConfigError(
            'original = "given" is the network in model.weights, and there is none: name the file, original = "FILE"'
        )
    for field in ("weights_head", "weights_stem"):
        if getattr(experiment.model, field, "keep") != "keep":
            raise ConfigError(
                f'original = "given" takes the whole file: model.{field} = "fresh" would leave a part of it out'
            )


def check_method(experiment: Any, label: str, method: Method) -> None:
    """Raise ConfigError where a method asks for what nobody knows of a network from a file."""
    if method.with_initial is not None and file_of(experiment) is not None:
        raise ConfigError(
            f"{label} asks for the weights that the training of the original began from, and of a network from a file "
            "they are not known: choose another method, or a variant that does without them"
        )


def model_section(experiment: Any) -> Any:
    """The section of the model that fresh networks are made by: without a file that is the original itself."""
    if experiment.original != GIVEN:
        return experiment.model
    return dataclasses.replace(experiment.model, weights=None)


def identity(experiment: Any) -> dict[str, str]:
    """The content of the file as a part of what determines numbers; empty where there is none."""
    file = file_of(experiment)
    return {} if file is None else {"given": file_digest(file)}


def network(experiment: Any, model: Model, sources: Sources) -> Variables | None:
    """The original network in the file, as numpy arrays; None where there is no file.

    Raises CheckpointError where it does not fit, ConfigError where no names in PyTorch are known of the model.
    """
    file = file_of(experiment)
    if file is None:
        return None
    if not model.tables:
        raise ConfigError(
            f"original: of model {experiment.model.name!r} no names in PyTorch are known, by which a file is read"
        )
    drawn = jax.eval_shape(model.init, jax.random.key(0), model.example(sources))
    remedy = "an original network must have an output for each class of the dataset"
    return load_weights(file, model.tables, drawn, remedy=remedy)
