"""One linear layer, whose steps a test recomputes in numpy."""

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.types import Data, Model, Split, Variables

CLASSES, WIDTH = 3, 4
NONE = np.zeros(0, int)


def _init(key, x):
    kernel = jax.random.normal(key, (x[0].size, CLASSES))
    return Variables({"fc": {"bias": jnp.zeros(CLASSES), "kernel": kernel}}, {})


def _apply(variables, x, *, train=False, key=None, mask=None):
    flat = x.reshape(len(x), -1)
    fc = variables.params["fc"]
    return flat @ fc["kernel"] + fc["bias"][None], {"embedding": flat}, variables.stats


MODEL = Model(_init, _apply, layers=("fc",))


def problem(forget, retain, unseen=0):
    """Weights, sources and a split; the forget rows come first, of all classes. `unseen`: validation images."""
    rng = np.random.default_rng(5)

    def data(count):
        x = rng.normal(size=(count, 2, 2, 1)).astype(np.float32)
        return Data(jnp.asarray(x), jnp.asarray(rng.integers(0, CLASSES, count), jnp.int32))

    sources = {"train": data(forget + retain)}
    if unseen:
        sources["validation"] = data(unseen)
    rows = np.arange(forget + retain)
    variables = _init(jax.random.key(2), sources["train"].x[:1])
    return variables, sources, Split(rows[:forget], rows[forget:], NONE, NONE)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def arrays(variables):
    """(kernel, bias) in float64."""
    fc = variables.params["fc"]
    return np.asarray(fc["kernel"], np.float64), np.asarray(fc["bias"], np.float64)


def logits(variables, x):
    kernel, bias = arrays(variables)
    return flat(x) @ kernel + bias


def flat(x):
    return np.asarray(x, np.float64).reshape(len(x), -1)


def gradient(variables, x, targets):
    """Of the mean cross entropy against probabilities `targets[B,K]`: (kernel, bias)."""
    gap = (softmax(logits(variables, x)) - targets) / len(x)
    return flat(x).T @ gap, gap.sum(0)


def one_hot(labels):
    return np.eye(CLASSES)[np.asarray(labels)]
