"""Batches that a reference case gives as row numbers, padded by -1."""

import jax.numpy as jnp
import numpy as np

from junlearn.types import Data, Feed
from tests.golden_nets import close, params, stats


def feed_of(rows, start=0, source="train"):
    """The steps `rows[T,B]` as a feed of `source`, whose row 0 is number `start` there."""
    mask = rows >= 0
    first = np.where(mask[:, :1], rows[:, :1], 0)
    return Feed((start + np.where(mask, rows, first)).astype(np.int32), mask, source=source)


def sources_of(case, *parts):
    """The arrays x_PART and y_PART of `parts`, one behind the other, as the training set; a part may lack labels."""
    x = [case[f"x_{part}"] for part in parts]
    y = [case.get(f"y_{part}", np.zeros(len(case[f"x_{part}"]), int)) for part in parts]
    return {"train": Data(jnp.asarray(np.concatenate(x)), jnp.asarray(np.concatenate(y)))}


def but_the_dead_bias(tree):
    """In train mode a bias before BatchNorm has no gradient but rounding."""
    return {
        name: {k: v for k, v in layer.items() if (name, k) != ("conv", "bias")}
        for name, layer in tree.items()
    }


def check(kind, case, variables, suffix, rtol):
    """Weights and running statistics are those of the case with `suffix`."""
    close(*map(but_the_dead_bias, (variables.params, params(kind, case, suffix))), rtol)
    if kind == "cnn":
        close(variables.stats, stats(kind, case, suffix), rtol)
