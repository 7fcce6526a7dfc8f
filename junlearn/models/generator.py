"""The image generator of gated knowledge transfer: latent vectors to images by two transposed convolutions.

    z [B,D] -> linear, ReLU -> [B,H/4,W/4,c0] -> BatchNorm -> 4×4 transposed convolution with stride 2 to c1 channels
    -> BatchNorm, leaky ReLU -> another to [B,H,W,c2] -> the same -> 3×3 convolution to [B,H,W,C] -> BatchNorm

The linear layer's outputs are dealt out channel first. BatchNorm always takes the statistics of the batch, padding is
never in it, and its running statistics move at every call without being read.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.memo import remembered
from junlearn.models.convolution import conv2d
from junlearn.models.modules import BatchNorm, Conv, Dense, parameter
from junlearn.types import Array, Key, PyTree, Variables

__all__ = ["Generator", "make_generator", "transposed_conv"]

PHASES = (((0, 0, 0, 1), (0, 0, 0, 0)), ((0, 1, 0, 0), (0, 0, 1, 0)), ((0, 0, 0, 0), (1, 0, 0, 0)))
"""[place in a window of 3, even or odd output, tap of 4]: 1 where that tap reads that place for that output."""


class Generator(NamedTuple):
    """A generator as two pure functions."""

    init: Callable[[Key], Variables]
    """`(key) -> Variables`."""
    apply: Callable[[Variables, Array], tuple[Array, PyTree]]
    """`(variables, z[B,D]) -> (images[B,H,W,C], stats)`."""


def transposed_conv(x: Array, kernel: Array) -> Array:
    """Transposed convolution of `x[B,H,W,C]` with `kernel[4,4,C,D]`, stride 2, padding 1: `[B,2H,2W,D]`.

    `y[2i - 1 + k] += x[i] kernel[k]` on each axis. Even and odd outputs each read two neighbours of one place, so all
    four kinds are one ordinary 3×3 convolution, whose outputs are then interleaved.
    """
    rows, height, width, channels = x.shape
    phases = jnp.asarray(PHASES, kernel.dtype)
    taps = jnp.einsum("apk,bql,klcd->abcpqd", phases, phases, kernel)
    y = conv2d(x, taps.reshape(3, 3, channels, -1), padding=((1, 1), (1, 1)))
    y = y.reshape(rows, height, width, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(rows, 2 * height, 2 * width, -1)


class ConvTranspose(nn.Module):
    """4×4 transposed convolution with stride 2 and padding 1, starting from PyTorch's defaults."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[B,H,W,C] -> [B,2H,2W,features]`."""
        # PyTorch takes the fan-in of the stored [C,D,4,4] kernel from its second axis.
        bound = 1 / math.sqrt(16 * self.features)

        def uniform(key: Key, shape: tuple[int, ...]) -> Array:
            flat = jax.random.uniform(key, (math.prod(shape),), minval=-bound, maxval=bound)
            return flat.reshape(shape)

        kernel = parameter(self, "kernel", uniform, (4, 4, x.shape[-1], self.features))
        bias = parameter(self, "bias", uniform, (self.features,))
        return transposed_conv(x, kernel) + bias.reshape(1, 1, 1, -1)


class GeneratorModule(nn.Module):
    """The network of the module's docstring."""

    image_shape: tuple[int, ...]
    channels: tuple[int, int, int]

    @nn.compact
    def __call__(self, z: Array) -> Array:
        """`z[B,D] -> images[B,H,W,C]`."""
        height, width, depth = self.image_shape
        first, *others = self.channels
        x = nn.relu(Dense(first * (height // 4) * (width // 4), name="dense")(z))
        x = x.reshape(len(z), first, height // 4, width // 4).transpose(0, 2, 3, 1)
        x = BatchNorm(name="norm0")(x, train=True)
        for number, features in enumerate(others, start=1):
            x = ConvTranspose(features, name=f"up{number}")(x)
            x = nn.leaky_relu(BatchNorm(name=f"norm{number}")(x, train=True), 0.2)
        x = Conv(depth, (3, 3), padding=((1, 1), (1, 1)), name="conv")(x)
        return BatchNorm(name="norm3")(x, train=True)


@remembered
def make_generator(
    image_shape: tuple[int, ...], latent: int, channels: tuple[int, int, int] = (64, 64, 32)
) -> Generator:
    """A generator of images [H,W,C] from latent vectors of `latent` numbers.

    Raises ConfigError if H or W does not divide by 4.
    """
    height, width, _ = image_shape
    if height % 4 or width % 4:
        raise ConfigError(
            f"the generator doubles its images twice: height and width must divide by 4, "
            f"not {height}×{width}"
        )
    module = GeneratorModule(image_shape, channels)

    def init(key: Key) -> Variables:
        collections = dict(module.init(key, jnp.zeros((1, latent))))
        return Variables(collections.pop("params"), collections)

    def apply(variables: Variables, z: Array) -> tuple[Array, PyTree]:
        collections = {"params": variables.params, **variables.stats}
        return module.apply(collections, z, mutable=list(variables.stats))

    return Generator(init, apply)
