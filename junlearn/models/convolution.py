"""Convolution and max pooling that are fast on CPU as well.

On GPU and TPU both are the plain `jax.lax` operations. On CPU XLA differentiates them badly: the
gradient of a kernel is a convolution with a window as large as the image, which is slow alone and far
slower inside `lax.scan`, and the gradient of a pooled maximum scatters. So there

* the tangent of a convolution in its kernel K is written as patches(x) · dK, a matrix product
  over a few images at a time. Nothing runs in a forward pass; transposed, it is the gradient
  patches(x)ᵀ · cotangent, whose patches are made again for each few images and never kept;
* a pooled maximum is a chain of comparisons of strided slices, whose gradient is a chain of selections.

Values and derivatives are those of `lax` to rounding, of every order and in both modes, and under `vmap`
and `scan`. Among equal values in a window the first one gets the gradient, as in `lax` and PyTorch.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from junlearn.types import Array

__all__ = ["Padding", "conv2d", "max_pool", "patches"]

Padding = tuple[tuple[int, int], tuple[int, int]]
"""Rows added (above, below) and columns added (left, right)."""

NO_PADDING: Padding = ((0, 0), (0, 0))

PATCH_BYTES = 5 << 20
"""Size of the patches that are held at a time: what stays in a CPU's cache."""


def conv2d(
    x: Array, kernel: Array, *, strides: tuple[int, int] = (1, 1), padding: Padding = NO_PADDING
) -> Array:
    """Convolve `x[B,H,W,C]` with `kernel[kh,kw,C,D]`, without flipping it: `[B,H',W',D]`."""
    if jax.default_backend() != "cpu":
        return _lax_conv(x, kernel, strides, padding)
    x = jnp.asarray(x)
    # A CPU computes in float32 anyway, and the gradient of a kernel is a sum over chunks.
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return _cpu_conv(x.astype(wide), kernel.astype(wide), strides, padding).astype(x.dtype)


def max_pool(
    x: Array, size: int, *, stride: int | None = None, padding: Padding = NO_PADDING
) -> Array:
    """The maximum of every `size`×`size` window of `x[B,H,W,C]`; `stride` is `size` if not given.

    Padding never wins; rows and columns that do not fill a window are left out.
    """
    step = size if stride is None else stride
    if jax.default_backend() != "cpu":
        window, steps = (1, size, size, 1), (1, step, step, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, steps, ((0, 0), *padding, (0, 0)))
    if padding != NO_PADDING:
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
    first, *others = _shifted(x, (size, size), (step, step))
    for other in others:
        # `first != first` keeps NaN, which compares as false.
        first = jnp.where((first >= other) | (first != first), first, other)
    return first


def patches(x: Array, size: tuple[int, int], strides: tuple[int, int]) -> Array:
    """Every window of `x[B,H,W,C]`, in the order of a kernel's axes: `[B,H',W',kh·kw·C]`."""
    return jnp.concatenate(_shifted(x, size, strides), axis=-1)


def _lax_conv(x: Array, kernel: Array, strides: tuple[int, int], padding: Padding) -> Array:
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _cpu_conv(x: Array, kernel: Array, strides: tuple[int, int], padding: Padding) -> Array:
    if x.shape[-1] == 1:
        return _patch_conv(x, kernel, strides, padding)
    return _lax_conv(x, kernel, strides, padding)


@_cpu_conv.defjvp
def _cpu_conv_jvp(
    strides: tuple[int, int],
    padding: Padding,
    primals: tuple[Array, Array],
    tangents: tuple[Array, Array],
) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    y = _cpu_conv(x, kernel, strides, padding)
    return y, _input_conv(dx, kernel, strides, padding) + _patch_conv(x, dkernel, strides, padding)


def _input_conv(dx: Array, kernel: Array, strides: tuple[int, int], padding: Padding) -> Array:
    """The convolution of `dx`, so written that its transpose is a convolution with a plain kernel.

    The transpose flips the kernel and swaps its channels. Flipped and swapped beforehand, what it
    convolves with is laid out as XLA's fast path for CPUs wants it; otherwise XLA leaves that path
    inside `lax.scan`.
    """
    flipped = lax.rev(kernel, (0, 1)).swapaxes(2, 3)
    return lax.conv_general_dilated(
        dx, lax.rev(flipped, (0, 1)), strides, padding, dimension_numbers=("NHWC", "HWOI", "NHWC")
    )


# Checkpointed twice, so that what is kept for the transpose is x: neither a padded copy of it nor
# its patches, which are kh·kw times as large.
@partial(jax.checkpoint, prevent_cse=False, static_argnums=(2, 3))
def _patch_conv(x: Array, kernel: Array, strides: tuple[int, int], padding: Padding) -> Array:
    """The convolution as patches × kernel, a few images at a time."""
    height, width, channels, features = kernel.shape
    depth = height * width * channels

    @partial(jax.checkpoint, prevent_cse=False)
    def convolve(images: Array, matrix: Array) -> Array:
        windows = patches(images, (height, width), strides)
        return (windows.reshape(-1, depth) @ matrix).reshape(*windows.shape[:-1], features)

    # Padded here and not image by image: XLA would pad again for every place in the window.
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    matrix = kernel.reshape(depth, features)
    positions = math.prod(jax.eval_shape(convolve, x[:1], matrix).shape[1:3])
    size = _chunk_size(len(x), PATCH_BYTES // (positions * depth * x.dtype.itemsize))
    chunks = x.reshape(len(x) // size, size, *x.shape[1:])
    if len(chunks) == 1:
        return convolve(x, matrix)
    _, y = lax.scan(lambda _, images: (None, convolve(images, matrix)), None, chunks)
    return y.reshape(len(x), *y.shape[2:])


def _chunk_size(count: int, most: int) -> int:
    """The largest divisor of `count` up to `most`, and up to half of it.

    Less than the whole, because what enters a loop is an array: elsewhere XLA recomputes what x is
    made of (a BatchNorm and a ReLU, say) for every place in the window.
    """
    limit = max(1, min(most, count // 2))
    return max(size for size in range(1, limit + 1) if count % size == 0)


def _shifted(x: Array, size: tuple[int, int], strides: tuple[int, int]) -> list[Array]:
    """For every place in a window of `size`, row by row, what the windows of `x[B,H,W,C]` hold there."""
    rows = x.shape[1] - size[0] + 1
    columns = x.shape[2] - size[1] + 1
    return [
        x[:, i : i + rows : strides[0], j : j + columns : strides[1]]
        for i in range(size[0])
        for j in range(size[1])
    ]
