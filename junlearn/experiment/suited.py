"""Whether a method can work on the network of an experiment: told from shapes, before anything is trained."""

from typing import Any

import jax

from junlearn.experiment import original_file
from junlearn.experiment.resolved import Resolved, method_of
from junlearn.experiment.schema import thing_of
from junlearn.methods import build
from junlearn.types import Method, Model, Sources

__all__ = ["suited"]


def suited(experiment: Resolved, label: str, model: Model, sources: Sources) -> Method:
    """The method `label`. Raises ConfigError for a setting that cannot be, for a network that the method refuses, and
    where it asks for what nobody knows of an original from a file.
    """
    config: Any = method_of(experiment, label)
    method = build(thing_of(config), config, model)
    original_file.check_method(experiment, label, method)
    if method.fits is not None:
        example = model.example(sources)
        method.fits(jax.eval_shape(model.init, jax.random.key(0), example), example)
    return method
