"""The original and the retrained network, both as the `retrain` method run by `junlearn.engine.run`."""

from typing import Unpack

import jax
import numpy as np

from junlearn.engine.run import Result, run
from junlearn.engine.settings import RunOptions
from junlearn.methods import build, retrain
from junlearn.types import Key, Model, Sources, Split, Variables

__all__ = ["everything", "initial", "train"]


def everything(sources: Sources) -> Split:
    """The Split of the original: nothing is forgotten."""
    none = np.zeros(0, int)
    tests = sources["test"].y.shape[0] if "test" in sources else 0
    return Split(none, np.arange(sources["train"].y.shape[0]), none, np.arange(tests))


def initial(model: Model, sources: Sources, *, key: Key) -> Variables:
    """The weights that `train` with this key begins from."""
    # The driver keeps the second half of the key for the augmentation.
    return model.fresh(jax.random.split(key)[0], sources)


def train(
    config: retrain.Config,
    model: Model,
    sources: Sources,
    split: Split | None = None,
    *,
    key: Key | None = None,
    **options: Unpack[RunOptions],
) -> Result:
    """Train a fresh network on `split.retain` (None: on all of "train"); `options` go to `junlearn.engine.run.run`."""
    split = everything(sources) if split is None else split
    key = jax.random.key(0) if key is None else key
    nothing = Variables({}, {})
    return run(build("retrain", config, model), model, nothing, sources, split, key=key, **options)
