"""The layers of the registered models: PyTorch's initial values, and a BatchNorm that knows of padding.

`Conv` and `Dense` start from PyTorch's defaults, which the reproduced papers trained with: weights
and biases uniform on ±1/√fan_in. `BatchNorm` differs from Flax's in what the published numbers
need: the running variance takes the unbiased variance of the batch (as PyTorch does), the variance
has two passes, and rows that only fill the batch change nothing.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.errors import ScopeParamShapeError
from jax.nn import initializers

from junlearn.models.batch_norm import normalise, normalise_by
from junlearn.models.convolution import Padding, conv2d
from junlearn.types import Array, Key

__all__ = [
    "BatchNorm",
    "Conv",
    "Dense",
    "Initializer",
    "he_normal_fan_out",
    "normal",
    "parameter",
    "uniform_fan_in",
    "zeros",
]

Initializer = Callable[[Key, tuple[int, ...]], Array]
"""`(key, shape) -> values`."""


def uniform_fan_in(key: Key, shape: tuple[int, ...]) -> Array:
    """A kernel uniform on ±1/√fan_in: PyTorch's default (Kaiming uniform with a = √5)."""
    return _uniform(key, shape, math.prod(shape[:-1]))


def he_normal_fan_out(key: Key, shape: tuple[int, ...]) -> Array:
    """A kernel normal with variance 2 / fan_out: the convolutions of torchvision's ResNet."""
    fan_out = math.prod(shape[:-2]) * shape[-1]
    return normal(key, shape, std=math.sqrt(2 / fan_out))


def normal(key: Key, shape: tuple[int, ...], *, std: float) -> Array:
    """Normal with mean 0, drawn flat."""
    return jax.random.normal(key, (math.prod(shape),)).reshape(shape) * std


def zeros(key: Key, shape: tuple[int, ...]) -> Array:
    """Zeros: the biases of networks that do not start from PyTorch's defaults."""
    del key
    return jnp.zeros(shape)


def _uniform(key: Key, shape: tuple[int, ...], fan_in: int) -> Array:
    """Uniform on ±1/√fan_in. Drawn flat: XLA takes seconds to compile a draw with four axes on CPU."""
    bound = 1 / math.sqrt(fan_in)
    flat = jax.random.uniform(key, (math.prod(shape),), minval=-bound, maxval=bound)
    return flat.reshape(shape)


def parameter(module: nn.Module, name: str, init: Initializer, shape: tuple[int, ...]) -> Array:
    """`module.param(name, init, shape)`. Of a value that is there, the shape alone is looked at.

    Flax traces `init` for that, whenever a layer is traced: a sixth of the time that tracing a small network takes.
    Raises ScopeParamShapeError for a value of another shape.
    """
    if not module.has_variable("params", name):
        return module.param(name, init, shape)
    value = nn.meta.unbox(module.get_variable("params", name))
    if jnp.shape(value) != shape:
        where = module.scope.path_text if module.scope else ""
        raise ScopeParamShapeError(name, where, jnp.shape(value), shape)
    return value


class Conv(nn.Module):
    """2-D convolution, `[B,H,W,C] -> [B,H',W',features]`; parameters "kernel" [kh,kw,C,features] and "bias"."""

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    use_bias: bool = True
    kernel_init: Initializer = uniform_fan_in
    bias_init: Initializer | None = None
    """None: uniform on ±1/√fan_in of the kernel."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolve `x`."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = parameter(self, "kernel", self.kernel_init, shape)
        y = conv2d(x, kernel, strides=self.strides, padding=self.padding)
        if not self.use_bias:
            return y
        bias_init = self.bias_init or partial(_uniform, fan_in=math.prod(shape[:-1]))
        bias = parameter(self, "bias", bias_init, (self.features,))
        return y + bias.reshape(1, 1, 1, -1)


class Dense(nn.Module):
    """Linear layer, `[..., D] -> [..., features]`; parameters "kernel" [D,features] and "bias"."""

    features: int
    use_bias: bool = True
    kernel_init: Initializer = uniform_fan_in
    bias_init: Initializer | None = None
    """None: uniform on ±1/√fan_in of the kernel."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Apply the layer to the last axis of `x`."""
        fan_in = x.shape[-1]
        kernel = parameter(self, "kernel", self.kernel_init, (fan_in, self.features))
        if not self.use_bias:
            return x @ kernel
        bias_init = self.bias_init or partial(_uniform, fan_in=fan_in)
        bias = parameter(self, "bias", bias_init, (self.features,))
        return x @ kernel + bias.reshape((1,) * (x.ndim - 1) + (-1,))


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, with PyTorch's running statistics.

    Parameters "scale" and "bias"; collection "batch_stats" with "mean" and "var", updated in train
    mode as `momentum · old + (1 - momentum) · new`. The batch is normalised with its biased
    variance, the running variance takes the unbiased one: n/(n-1) times as large, n values a channel.

    One value a channel (a single row whose maps are 1×1) has no variance: PyTorch refuses such a batch. Here it is
    normalised by the running statistics, which stay as they are: the last row of an epoch may be alone.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, mask: Array | None = None) -> Array:
        """Normalise `x[B,...,C]`; with `train` by the statistics of the rows where `mask[B]` is True.

        What stands in the other rows has no influence on the rest, even if it is not finite. A batch
        without any row leaves the running statistics as they are.
        """
        # Sums over a batch are float32 sums, also of a network that computes in bfloat16.
        given, x = x.dtype, x.astype(jnp.promote_types(x.dtype, jnp.float32))
        width = (x.shape[-1],)
        scale = parameter(self, "scale", initializers.ones, width)
        bias = parameter(self, "bias", initializers.zeros, width)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, width)
        running_var = self.variable("batch_stats", "var", jnp.ones, width)
        before = running_mean.value, running_var.value
        if not train:
            return normalise_by(x, scale, bias, mask, *before, self.epsilon).astype(given)
        y, mean, var, count = normalise(x, scale, bias, mask, self.epsilon)
        if not self.is_initializing():
            unbiased = var * (count / jnp.maximum(count - 1, 1))
            rate = jnp.where(count > 1, 1 - self.momentum, 0.0)
            running_mean.value += rate * (mean - running_mean.value)
            running_var.value += rate * (unbiased - running_var.value)
        if math.prod(x.shape[1:-1]) == 1:  # Wider maps have two values a channel in any row.
            other = normalise_by(x, scale, bias, mask, *before, self.epsilon)
            y = jnp.where(count > 1, y, other)
        return y.astype(given)
