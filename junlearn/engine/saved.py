"""Finished networks on disk: what the runs of the command line leave for use outside, and how it is read back."""

import os
from collections.abc import Callable
from pathlib import Path

import jax
from jax.sharding import SingleDeviceSharding

from junlearn.engine import checkpoint
from junlearn.engine.checkpoint import Store
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.networks import check_images, check_model
from junlearn.engine.inputs.sources import sources_of
from junlearn.errors import CheckpointError, ConfigError
from junlearn.types import Data, Model, Sources, Variables

__all__ = ["load_variables", "written"]

REMEDY = "give the model that the weights belong to, or have them written again"


def written(directory: Path, owner: str, variables: Callable[[], Variables]) -> bool:
    """Write a network into `directory`, and whether that was to do; `owner` hashes all that determines the network.

    Raises CheckpointError where one is there that is damaged or has another owner.
    """
    store = Store(directory, owner)
    if checkpoint.exists(store):
        checkpoint.check(store, f"delete {directory} to have it written again")
        return False
    checkpoint.save(store, variables(), {})
    return True


def load_variables(
    path: str | os.PathLike[str], model: Model, data: Data | Sources | None = None
) -> Variables:
    """The finished network of a method, as a run with `--loop.save-weights True` left it in `path`.

    `path` is the record's `weights` below the run's directory, and `model` the network that was unlearned (of a method
    that changes it, its own: `junlearn.methods.sisa.ensemble`). `data`, or images of the same shape, is needed where
    the model does not know its input shape.

    Raises CheckpointError where nothing is there, or it is damaged or of another model; ConfigError without the shape.
    """
    check_model(model)
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"load_variables: path is {kind_of(path)}: that of a directory is wanted")
    if data is None and model.input_shape is None:
        raise ConfigError(
            "load_variables: the model does not know the shape of its input: pass data"
        )
    sources = {} if data is None else sources_of(data)
    if sources:
        check_images(model, sources)
    shapes = jax.eval_shape(model.init, jax.random.key(0), model.example(sources))
    # Said here: the devices that they were written from may not be there.
    here = SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=here), shapes)
    found = checkpoint.restore(Store(Path(path), None), target, REMEDY)
    if found is None:
        raise CheckpointError(
            f"there are no weights in {path}; a run writes them with --loop.save-weights True"
        )
    return found[0]
