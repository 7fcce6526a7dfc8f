"""Convolutions as matrix products, and the form whose gradient in the kernel is fast on CPU.

That gradient would be a convolution with a window as large as the image, which is slow alone and far slower inside
`lax.scan`. The transposes of what is here are products of what a kernel sees and the gradient of what it gives, over a
few images at a time: as many as stay in a cache, and nothing of it is kept.
"""

import math
from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from junlearn.types import Array, PyTree

__all__ = [
    "FEW",
    "Padding",
    "Pair",
    "by_images",
    "grid_conv",
    "patch_conv",
    "patches",
    "run_conv",
    "shifted",
]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
"""Rows added (above, below) and columns added (left, right)."""

PATCH_BYTES = 5 << 20
"""Size of the patches that are held at a time on a CPU: what stays in its cache."""
OTHER_PATCH_BYTES = 512 << 20
"""The same on all other devices, where it only bounds the memory."""

GRID_BYTES = 3 << 19
"""Size of the copies of images that `grid_conv` holds at a time: they and those of the gradient stay in a cache."""

FEW = 8
"""Channels under which a product with patches is faster than `grid_conv`, whose copies are those of the gradient."""

RUN = 4
"""Columns that one product computes of an image with one channel: more of them cost more products with zeros, fewer of
them more copies of the image."""


def patches(x: Array, size: Pair, strides: Pair) -> Array:
    """Every window of `x[B,H,W,C]`, in the order of a kernel's axes: `[B,H',W',kh·kw·C]`."""
    return jnp.concatenate(shifted(x, size, strides), axis=-1)


def shifted(x: Array, size: Pair, strides: Pair) -> list[Array]:
    """For every place in a window of `size`, row by row, what the windows of `x[B,H,W,C]` hold there."""
    rows = x.shape[1] - size[0] + 1
    columns = x.shape[2] - size[1] + 1
    return [
        x[:, i : i + rows : strides[0], j : j + columns : strides[1]]
        for i in range(size[0])
        for j in range(size[1])
    ]


@partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def run_conv(x: Array, kernel: Array, padding: Padding) -> Array:
    """The convolution of images of one channel as a product that gives some columns at once.

    What these columns see, a window of kh by (kw + columns - 1), is multiplied by a matrix that holds the kernel once
    for each of them, a column further each time.
    """
    height, width, _, features = kernel.shape
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))[..., 0]
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    run = max(size for size in range(1, RUN + 1) if columns % size == 0)
    span = width + run - 1
    seen = jnp.stack([x[:, :, j : j + span] for j in range(0, columns, run)], axis=2)
    seen = jnp.concatenate([seen[:, i : i + rows] for i in range(height)], axis=-1)
    copies = [jnp.pad(kernel[:, :, 0], ((0, 0), (j, run - 1 - j), (0, 0))) for j in range(run)]
    matrix = jnp.stack(copies, axis=2).reshape(height * span, run * features)
    y = seen.reshape(-1, height * span) @ matrix
    return y.reshape(len(x), rows, columns, features)


# Checkpointed twice, so that what is kept for the transpose is x: not the copies of it, which are kh times as large.
@partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def grid_conv(x: Array, kernel: Array, padding: Padding) -> Array:
    """The convolution with stride 1 in one product for all of a kernel's columns, a few images at a time.

    The transpose is Xᵀ·G: X holds kh copies of the image side by side, each a row further, and G kw copies of the
    gradient, each a column further. All of its entries belong to the kernel, and it is nearer to a square than
    the product of patches and gradient, which is kh·kw times as high, and made of fewer copies.
    """
    height, width, channels, features = kernel.shape
    above, (left, right) = padding
    rows = x.shape[1] + sum(above) - height + 1
    # A column of the image meets that of the gradient which is up to kw - 1 columns before or behind it.
    cut = ((0, 0, 0), (0, 0, 0), (left - width + 1, right - width + 1, 0), (0, 0, 0))

    @partial(jax.checkpoint, prevent_cse=False)
    def convolve(images: Array, matrix: Array) -> Array:
        images = jnp.pad(images, ((0, 0), above, (0, 0), (0, 0)))
        seen = jnp.concatenate([images[:, i : i + rows] for i in range(height)], axis=-1)
        y = seen.reshape(-1, height * channels) @ matrix
        y = y.reshape(*seen.shape[:3], width * features)
        nothing = jnp.zeros((), y.dtype)
        # Split, padded and cut, because the transpose of that pads once, slices, and sets the slices side by side.
        moved = [
            lax.pad(part, nothing, ((0, 0, 0), (0, 0, 0), (width - 1 - j, j, 0), (0, 0, 0)))
            for j, part in enumerate(lax.split(y, (features,) * width, axis=3))
        ]
        return lax.pad(reduce(jnp.add, moved), nothing, cut)

    matrix = kernel.swapaxes(1, 2).reshape(height * channels, width * features)
    held = rows * x.shape[2] * height * channels * x.dtype.itemsize
    return by_images(convolve, x, matrix, GRID_BYTES // held)


# Checkpointed twice, for the same reason: the patches are kh·kw times as large as x.
@partial(jax.checkpoint, prevent_cse=False, static_argnums=(2, 3))
def patch_conv(x: Array, kernel: Array, strides: Pair, padding: Padding) -> Array:
    """The convolution as kernelᵀ · patchesᵀ, a few images at a time.

    In this order its transpose is gradientᵀ · patches, which is up to half as fast again as patchesᵀ · gradient.
    """
    height, width, channels, features = kernel.shape
    depth = height * width * channels

    @partial(jax.checkpoint, prevent_cse=False)
    def convolve(images: Array, matrix: Array) -> Array:
        images = jnp.pad(images, ((0, 0), *padding, (0, 0)))
        windows = patches(images, (height, width), strides)
        y = lax.dot_general(matrix, windows.reshape(-1, depth), (((1,), (1,)), ((), ())))
        return y.T.reshape(*windows.shape[:-1], features)

    matrix = kernel.reshape(depth, features).T
    positions = math.prod(jax.eval_shape(convolve, x[:1], matrix).shape[1:3])
    held = PATCH_BYTES if jax.default_backend() == "cpu" else OTHER_PATCH_BYTES
    return by_images(convolve, x, matrix, held // (positions * depth * x.dtype.itemsize))


def by_images(
    convolve: Callable[[Array, PyTree], Array], x: Array, matrix: PyTree, most: int
) -> Array:
    """`convolve(x, matrix)`, up to `most` images at a time."""
    size = _chunk_size(len(x), most)
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
