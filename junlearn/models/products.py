"""Convolutions as matrix products, and the form whose gradient in the kernel is fast on CPU.

That gradient would be a convolution with a window as large as the image, which is slow alone and far slower inside
`lax.scan`. The transposes of what is here are products of what a kernel sees and the gradient of what it gives, over a
few images at a time: as many as stay in a cache, and nothing of it is kept.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from junlearn.types import Array

__all__ = [
    "Padding",
    "Pair",
    "along_kernel",
    "patch_conv",
    "patches",
    "row_conv",
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

SPAN_BYTES = 400 << 10
"""Size of the spans that are held at a time: what stays in the cache of one core, also as patches if there is no more.
The gradient of a kernel is added to once for all of them, so where it is large they are twice as large as it is."""

RUN = 4
"""Columns that one product computes of an image with one channel: more of them cost more products with zeros, fewer of
them more copies of the image."""

WEIGHT = 2
"""How many times as large as the spans of an image a kernel is from which its gradient is faster by patches, added to
as a whole and not row by row."""


def along_kernel(x: Array, kernel: Array, strides: Pair, padding: Padding) -> Array:
    """The convolution of `x[B,H,W,C]` with `kernel[kh,kw,C,D]`, in the form whose transpose in the kernel is fast."""
    height, width, channels, _ = kernel.shape
    if strides != (1, 1):
        return patch_conv(x, kernel, strides, padding)
    if channels == 1:
        return run_conv(x, kernel, padding)
    spans = _span_size(x, width, padding)
    small = len(x) * spans * x.dtype.itemsize <= SPAN_BYTES
    if height == 1 or small or kernel.size > WEIGHT * spans:
        return patch_conv(x, kernel, strides, padding)
    return row_conv(x, kernel, padding)


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


# Checkpointed thrice, so that what is kept for the transpose is x: neither a padded copy of it nor
# its spans, which are kw times as large, nor what each row of the kernel sees of them.
@partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def row_conv(x: Array, kernel: Array, padding: Padding) -> Array:
    """The convolution with stride 1 as a sum over the kernel's rows, a few images at a time.

    What a row of the kernel sees, kw pixels side by side at every position, is a part of the same array for all rows,
    once the image's rows are its first axis.
    """
    height, width, channels, features = kernel.shape
    depth = width * channels

    @partial(jax.checkpoint, prevent_cse=False)
    def convolve(images: Array, matrices: Array) -> Array:
        count = len(images)
        images = images.swapaxes(0, 1)
        spans = jnp.concatenate([images[:, :, j : j + columns] for j in range(width)], axis=-1)
        spans = spans.reshape(len(spans), count * columns, depth)

        @partial(jax.checkpoint, prevent_cse=False)
        def add(y: Array, row: tuple[Array, Array]) -> Array:
            start, matrix = row
            seen = lax.dynamic_slice_in_dim(spans, start, rows).reshape(-1, depth)
            return y + lax.dot_general(matrix, seen, (((1,), (1,)), ((), ())))

        nothing = jnp.zeros((features, rows * count * columns), x.dtype)
        y, _ = lax.scan(lambda y, row: (add(y, row), None), nothing, (jnp.arange(height), matrices))
        return y.T.reshape(rows, count, columns, features).swapaxes(0, 1)

    held = max(SPAN_BYTES // x.dtype.itemsize, 2 * kernel.size) // _span_size(x, width, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    matrices = kernel.reshape(height, depth, features).swapaxes(1, 2)
    return _by_images(convolve, x, matrices, held)


# Checkpointed twice, for the same reason.
@partial(jax.checkpoint, prevent_cse=False, static_argnums=(2, 3))
def patch_conv(x: Array, kernel: Array, strides: Pair, padding: Padding) -> Array:
    """The convolution as kernelᵀ · patchesᵀ, a few images at a time.

    In this order its transpose is gradientᵀ · patches, which is up to half as fast again as patchesᵀ · gradient.
    """
    height, width, channels, features = kernel.shape
    depth = height * width * channels

    @partial(jax.checkpoint, prevent_cse=False)
    def convolve(images: Array, matrix: Array) -> Array:
        windows = patches(images, (height, width), strides)
        y = lax.dot_general(matrix, windows.reshape(-1, depth), (((1,), (1,)), ((), ())))
        return y.T.reshape(*windows.shape[:-1], features)

    # Padded here and not image by image: XLA would pad again for every place in the window.
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    matrix = kernel.reshape(depth, features).T
    positions = math.prod(jax.eval_shape(convolve, x[:1], matrix).shape[1:3])
    held = PATCH_BYTES if jax.default_backend() == "cpu" else OTHER_PATCH_BYTES
    return _by_images(convolve, x, matrix, held // (positions * depth * x.dtype.itemsize))


def _span_size(x: Array, width: int, padding: Padding) -> int:
    """The size of the spans of one image: `width` pixels from every column of every row."""
    rows, columns = (n + sum(p) for n, p in zip(x.shape[1:3], padding, strict=True))
    return rows * (columns - width + 1) * width * x.shape[3]


def _by_images(
    convolve: Callable[[Array, Array], Array], x: Array, matrix: Array, most: int
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
