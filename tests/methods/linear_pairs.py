"""A linear network and a pair of batches, whose gradients are a line of numpy."""

import jax.numpy as jnp
import numpy as np

from junlearn.types import Batch, Model, Variables


def apply(variables, x, *, train=False, key=None, mask=None):
    return x @ variables.params["w"], {}, variables.stats


LINEAR = Model(lambda key, x: None, apply, ("w",))
PLAIN = {"momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.1}
"""An optimiser whose step is the gradient, times 0.1."""


def weights(w):
    return Variables({"w": jnp.asarray(w)}, {})


def batch(x, y, mask=None):
    rows = len(x)
    mask = np.ones(rows, bool) if mask is None else mask
    return Batch(jnp.asarray(x), jnp.asarray(y), jnp.arange(rows), jnp.asarray(mask))


def drawn(seed=0, forget=True):
    """Weights [4,3], and a pair of 6 retain and 5 forget rows; `forget=False`: none of these is in the mask."""
    rng = np.random.default_rng(seed)
    pair = {
        "retain": batch(rng.normal(size=(6, 4)), rng.integers(0, 3, 6)),
        "forget": batch(rng.normal(size=(5, 4)), rng.integers(0, 3, 5), np.full(5, forget)),
    }
    return rng.normal(size=(4, 3)), pair


def gradients(w, part):
    """[B,4,3]: of the cross entropy of each row."""
    x, y = np.asarray(part.x), np.asarray(part.y)
    z = np.exp(x @ w)
    p = z / z.sum(1, keepdims=True)
    return x[:, :, None] * (p - np.eye(3)[y])[:, None, :]


def gradient(w, part):
    """Of the mean cross entropy."""
    return gradients(w, part).mean(0)
