"""Convolution and max pooling that are fast on CPU as well.

On GPU and TPU both are the plain `jax.lax` operations. On CPU XLA has one fast convolution, Eigen's, and leaves it on
many occasions. So there the same sums are written in a way that it does not:

* a library (YNNPACK) takes over most convolutions, and where they have few channels it leaves all of the work to one
  core. It leaves those alone whose output is larger than their input, so there one column more is computed, and
  dropped. A convolution with strides is a product of patches and kernel for the same reason;
* images of one channel are convolved by a matrix product for some columns at once, and windows that do not overlap (a
  1×1 kernel, the patches of a ViT) by a matrix product too;
* 3×3 kernels with many channels take fewer multiplications, over a few images at a time (`junlearn.models.winograd`);
* the gradient of the input is written out as a convolution with a flipped copy of the kernel. Left to XLA, the flip is
  merged into the convolution, which inside `lax.scan` then is a bare loop, 15 to 30 times slower. With strides it is
  one such convolution for each place between them, where XLA multiplies zeros;
* the gradient of a kernel would be a convolution with a window as large as the image. It is written as products of the
  gradient and what the kernel sees, over a few images at a time (`junlearn.models.products`);
* a pooled maximum is a chain of comparisons of the places in a window, whose gradient is a chain of selections, not a
  scatter. Where windows do not overlap the image is split into these places, so that the gradient is put together from
  them. That of a slice with strides is a sum of padded arrays, which merged into what follows is several times slower.

Values and derivatives are those of `lax` to rounding, of every order and in both modes, and under `vmap`
and `scan`. Among equal values in a window the first one gets the gradient, as in `lax` and PyTorch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, reduce
from itertools import product
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from junlearn.models.products import (
    FEW,
    Padding,
    Pair,
    grid_conv,
    patch_conv,
    patches,
    run_conv,
    shifted,
)
from junlearn.models.winograd import suits_winograd, winograd_conv, winograd_gradient
from junlearn.types import Array

__all__ = ["Padding", "conv2d", "form", "max_pool", "written_as"]

NO_PADDING: Padding = ((0, 0), (0, 0))

WIDE = 12
"""Columns from which Eigen's convolution, with one column to spare, is faster than YNNPACK's."""

Form = Literal["fast", "patches", "lax"]

_form: ContextVar[Form] = ContextVar("_form", default="fast")


@contextmanager
def written_as(form: Form) -> Iterator[None]:
    """How all that is traced meanwhile convolves and pools: "fast" (as if this were not here), or on every backend

    "patches": by products of patches and kernels, which stay such under `vmap` over kernels, where a convolution
    becomes a grouped one; or "lax": by the operations of `jax.lax`, to compare with.
    """
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


def form() -> Form:
    """In which form all that is traced now convolves and pools."""
    return _form.get()


def conv2d(
    x: Array, kernel: Array, *, strides: Pair = (1, 1), padding: Padding = NO_PADDING
) -> Array:
    """Convolve `x[B,H,W,C]` with `kernel[kh,kw,C,D]`, without flipping it: `[B,H',W',D]`."""
    x = jnp.asarray(x)
    if _form.get() == "lax" or _is_empty(x, kernel, padding):
        return _lax_conv(x, kernel, strides, padding)
    if _form.get() == "patches":
        return patch_conv(x, kernel, strides, padding)
    if jax.default_backend() != "cpu":
        return _lax_conv(x, kernel, strides, padding)
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
    if jax.default_backend() != "cpu" or _form.get() == "lax":
        window, steps = (1, size, size, 1), (1, step, step, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, steps, ((0, 0), *padding, (0, 0)))
    if padding != NO_PADDING:
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
    places = _tiles(x, (size, size)) if step == size else shifted(x, (size, size), (step, step))
    first, *others = places
    for other in others:
        # `first != first` keeps NaN, which compares as false. Not found again from the maximum for the gradient:
        # XLA may then compute the places anew and round them otherwise, so that none of them equals it.
        first = jnp.where((first >= other) | (first != first), first, other)
    return first


def _is_empty(x: Array, kernel: Array, padding: Padding) -> bool:
    """Whether the convolution has no entry: without images, or where they are smaller than the kernel."""
    height, width = (n + sum(around) for n, around in zip(x.shape[1:3], padding, strict=True))
    return len(x) == 0 or height < kernel.shape[0] or width < kernel.shape[1]


def _lax_conv(x: Array, kernel: Array, strides: Pair, padding: Padding) -> Array:
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _cpu_conv(x: Array, kernel: Array, strides: Pair, padding: Padding) -> Array:
    height, width, channels, features = kernel.shape
    if height <= strides[0] and width <= strides[1]:
        windows = patches(jnp.pad(x, ((0, 0), *padding, (0, 0))), (height, width), strides)
        return windows @ kernel.reshape(height * width * channels, features)
    if channels == 1 and strides == (1, 1):
        return run_conv(x, kernel, padding)
    if strides == (1, 1):
        return _same_conv(x, kernel, padding)
    if channels < FEW:
        return _lax_conv(x, kernel, strides, padding)
    return patch_conv(x, kernel, strides, padding)


@_cpu_conv.defjvp
def _cpu_conv_jvp(
    strides: Pair,
    padding: Padding,
    primals: tuple[Array, Array],
    tangents: tuple[Array, Array],
) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    y = _cpu_conv(x, kernel, strides, padding)
    along_x = _along_input(dx, kernel, y, strides, padding)
    return y, along_x + _along_kernel(x, dkernel, strides, padding)


def _along_input(dx: Array, kernel: Array, y: Array, strides: Pair, padding: Padding) -> Array:
    """The convolution of `dx`, written as the transpose of its gradient, so that its own transpose is that gradient.

    With strides dx is split into the places between them, so that the gradient is put together from theirs.
    """
    rows, columns = (-(-n // stride) for n, stride in zip(dx.shape[1:3], strides, strict=True))
    if strides != (1, 1):
        spare = (rows * strides[0] - dx.shape[1], columns * strides[1] - dx.shape[2])
        dx = jnp.pad(dx, ((0, 0), (0, spare[0]), (0, spare[1]), (0, 0)))
    sums: list[Array] = []
    for place, (i, j) in zip(_tiles(dx, strides), product(*map(range, strides)), strict=True):
        row = _seen_from(i, kernel.shape[0], rows, y.shape[1], strides[0], padding[0][0])
        column = _seen_from(j, kernel.shape[1], columns, y.shape[2], strides[1], padding[1][0])
        if row is None or column is None:
            continue
        gradient = partial(
            _place_gradient,
            kernel=kernel[row[0] :: strides[0], column[0] :: strides[1]],
            padding=(row[1], column[1]),
        )
        sums += jax.linear_transpose(gradient, y)(place)
    return reduce(jnp.add, sums)


def _seen_from(
    place: int, size: int, length: int, count: int, stride: int, before: int
) -> tuple[int, Pair] | None:
    """Along one axis, what of a kernel of that size sees the pixels stride·q + place, for every q under `length`.

    Gives the first of its entries, `stride` apart, and the padding of `count` gradients under which their convolution
    with these entries, the last one first, has an entry for each q. None if no entry sees them.
    """
    first = (place + before) % stride
    if first >= size:
        return None
    entries = (size - 1 - first) // stride + 1
    above = entries - 1 - (place + before) // stride
    return first, (above, length - 1 + entries - count - above)


def _place_gradient(g: Array, kernel: Array, padding: Padding) -> Array:
    """The gradient in the input, at one of the places between strides, for the part of the kernel that sees it."""
    if suits_winograd(kernel):
        return winograd_gradient(g, kernel, padding)
    return _same_conv(g, lax.rev(kernel, (0, 1)).swapaxes(2, 3), padding)


def _along_kernel(x: Array, kernel: Array, strides: Pair, padding: Padding) -> Array:
    """The convolution in the form whose transpose in the kernel is fast."""
    channels = kernel.shape[2]
    if channels == 1 and strides == (1, 1):
        return run_conv(x, kernel, padding)
    if channels < FEW or strides != (1, 1):
        return patch_conv(x, kernel, strides, padding)
    if suits_winograd(kernel):
        return winograd_conv(x, kernel, padding, along_kernel=True)
    return grid_conv(x, kernel, padding)


def _same_conv(x: Array, kernel: Array, padding: Padding) -> Array:
    """The convolution with stride 1: Winograd's, or one with a column to spare where that keeps it from YNNPACK."""
    if suits_winograd(kernel):
        return winograd_conv(x, kernel, padding)
    height, (left, right) = padding
    columns = x.shape[2] + left + right - kernel.shape[1] + 1
    if columns < max(x.shape[2], WIDE):
        return _lax_conv(x, kernel, (1, 1), padding)
    return _lax_conv(x, kernel, (1, 1), (height, (left, right + 1)))[:, :, :columns]


def _tiles(x: Array, size: Pair) -> list[Array]:
    """`shifted` for windows side by side."""
    if size == (1, 1):
        return [x]
    batch, height, width, channels = x.shape
    rows, columns = height // size[0], width // size[1]
    x = x[:, : rows * size[0], : columns * size[1]]
    x = x.reshape(batch, rows, size[0], columns, size[1], channels)
    return [
        place.reshape(batch, rows, columns, channels)
        for row in lax.split(x, (1,) * size[0], axis=2)
        for place in lax.split(row, (1,) * size[1], axis=4)
    ]
