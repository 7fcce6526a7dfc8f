"""The two networks of the SCAR cases, in the sizes of their weights."""

import jax.numpy as jnp
from flax import linen as nn

from junlearn.models.modules import BatchNorm, Conv, Dense
from junlearn.types import Model, Variables
from tests.golden_nets import params


class Positive(nn.Module):
    """z = relu(relu(x W1 + b1) W2 + b2) W3 + b3: the embedding is not negative."""

    widths: tuple[int, int, int]

    @nn.compact
    def __call__(self, x):
        for name, width in zip(("fc1", "fc2"), self.widths[:2], strict=True):
            x = nn.relu(Dense(width, name=name)(x))
        return Dense(self.widths[2], name="fc3")(x)


class Normalised(nn.Module):
    """Convolution without bias, BatchNorm, relu, mean over the positions, linear."""

    channels: int
    classes: int
    size: int
    """Height and width of the kernel, padded so that the image keeps its own."""

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        padding = ((self.size // 2,) * 2,) * 2
        x = Conv(self.channels, (self.size,) * 2, padding=padding, use_bias=False, name="conv")(x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train, mask=mask))
        return Dense(self.classes, name="fc")(x.mean((1, 2)))


def positive(case):
    """The model and the weights before."""
    widths = tuple(case[name].shape[1] for name in ("W1", "W2", "W3"))
    model = Model.from_linen(
        Positive(widths), layers=("fc1", "fc2", "fc3"), input_shape=case["W1"].shape[:1]
    )
    return model, Variables(params("mlp", case), {})


def normalised(case):
    """The model and the weights before."""
    size, _, _, channels = case["kernel"].shape
    module = Normalised(channels, case["fc_kernel"].shape[1], size)
    return Model.from_linen(module, layers=("conv", "norm", "fc")), normalised_weights(case)


def normalised_weights(case, suffix=""):
    """The arrays of a case with one suffix as variables."""
    a = {name: jnp.asarray(case[name + suffix]) for name in ("kernel", "scale", "shift")}
    fc = {name: jnp.asarray(case[f"fc_{name}{suffix}"]) for name in ("kernel", "bias")}
    norm = {"scale": a["scale"], "bias": a["shift"]}
    running = {name: jnp.asarray(case[name + suffix]) for name in ("mean", "var")}
    return Variables(
        {"conv": {"kernel": a["kernel"]}, "norm": norm, "fc": fc},
        {"batch_stats": {"norm": running}},
    )
