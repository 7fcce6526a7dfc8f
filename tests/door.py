"""What the tests of the Python door share: small data, networks of several kinds, and how a refusal looks."""

import jax
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import junlearn
from junlearn import Data, Split
from junlearn.errors import ConfigError
from junlearn.models import MODELS

X = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1)).astype(np.uint8)
Y = (np.arange(24) % 3).astype(np.int32)
DATA = Data(X, Y)
BOTH = {"train": DATA, "test": DATA}
MLP = MODELS["mlp"]
MODEL = MLP.make(MLP.Config(hidden=(8,)), 3, (4, 4, 1))
SPLIT = Split(np.arange(3), np.arange(3, 24), np.array([0, 1]), np.arange(2, 24))
NONE = np.zeros(0, int)
KEY = jax.random.key(0)


class Linear(nn.Module):
    outputs: int = 3
    probabilities: bool = False

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(self.outputs)(x.reshape(len(x), -1))
        return nn.softmax(x) if self.probabilities else x


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(3)(x.reshape(len(x), -1))


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.head = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(x.reshape(len(x), -1))


NORMED = junlearn.Model.from_linen(Normed(), input_shape=(4, 4, 1))


def refused(message, call, *arguments, **options):
    with pytest.raises(ConfigError, match=message) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def several(variables):
    """Two equal networks side by side."""
    return jax.tree.map(lambda a: jax.numpy.stack([a, a]), variables)
