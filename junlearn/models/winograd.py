"""Convolutions with 3×3 kernels in fewer multiplications, for CPUs.

Winograd's form F(2×2, 3×3): what a tile of 2×2 outputs sees, 4×4 pixels, is changed into 16 sums, and the kernel into
16 others. Their products are changed back into the four outputs. These are 16 multiplications for each pair of
channels where the plain sums take 36. Between are 16 matrix products, of all tiles and one entry of the kernel each.

The sums read and write four times what is there, so that only a few images are changed at a time: as many as stay in
the cache. The products are 16 calls and not one with an axis of 16, which XLA computes one entry after the other on
one core. Rounding is that of the plain sums (1e-6 of the largest value in float32). A pixel that is infinite makes the
outputs of its tile NaN, where the plain sums are infinite.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from junlearn.models.products import Padding, by_images
from junlearn.types import Array

__all__ = ["suits_winograd", "winograd_conv", "winograd_gradient"]

HELD_BYTES = 8 << 20
"""Size of the sums of images that are held at a time, and of their products with the kernel's."""
FEWER_BYTES = 2 << 20
"""The same where the kernel's gradient is taken, for which the sums of images and those of the gradient are held."""
DEEP = 64
"""Channels, in and out, from which multiplications that are saved outweigh the sums."""

BACKWARDS = (3, 1, 2, 0)
"""Where the sums of a kernel are if it is read from its end: the first and the last one change places."""


def suits_winograd(kernel: Array) -> bool:
    """Whether a convolution with stride 1 and this `kernel[kh,kw,C,D]` is faster in this form."""
    height, width, channels, features = kernel.shape
    return (height, width) == (3, 3) and min(channels, features) >= DEEP


def winograd_conv(x: Array, kernel: Array, padding: Padding, along_kernel: bool = False) -> Array:
    """Convolve `x[B,H,W,C]` with `kernel[3,3,C,D]`, stride 1: `[B,H',W',D]`.

    `along_kernel`: in the form whose transpose in the kernel is fast.
    """
    return _convolve(x, kernel, padding, False, FEWER_BYTES if along_kernel else HELD_BYTES)


def winograd_gradient(g: Array, kernel: Array, padding: Padding) -> Array:
    """Convolve `g[B,H,W,D]` with `kernel[3,3,C,D]` read from its end: `[B,H',W',C]`.

    The gradient in the input of a convolution with it, where the padding suits.
    """
    return _convolve(g, kernel, padding, True, HELD_BYTES)


# Checkpointed twice, so that what is kept for the transpose is x: not its sums, which are four times as large.
@partial(jax.checkpoint, prevent_cse=False, static_argnums=(2, 3, 4))
def _convolve(x: Array, kernel: Array, padding: Padding, turned: bool, most: int) -> Array:
    (above, below), (left, right) = padding
    rows, columns = x.shape[1] + above + below - 2, x.shape[2] + left + right - 2
    # Outputs come in pairs: where their number is odd, one row or column more is computed.
    down, across = -(-rows // 2), -(-columns // 2)
    edges = (0, 0), (above, below + rows % 2), (left, right + columns % 2), (0, 0)
    order = BACKWARDS if turned else range(4)
    along = (((1,), (1 if turned else 0,)), ((), ()))

    @partial(jax.checkpoint, prevent_cse=False)
    def convolve(images: Array, matrices: list[Array]) -> Array:
        images = jnp.pad(images, edges)
        seen = [part for row in _image_sums(images, 1) for part in _image_sums(row, 2)]
        products = [
            lax.dot_general(part.reshape(-1, part.shape[-1]), matrix, along)
            for part, matrix in zip(seen, matrices, strict=True)
        ]
        products = [product.reshape(len(images), down, 1, across, -1) for product in products]
        columns_of_rows = [_outputs(products[i : i + 4]) for i in range(0, 16, 4)]
        rows_of_columns = [_outputs(column) for column in zip(*columns_of_rows, strict=True)]
        pairs = [jnp.concatenate(pair, -1) for pair in zip(*rows_of_columns, strict=True)]
        y = jnp.concatenate(pairs, 2).reshape(len(images), 2 * down, 2 * across, -1)
        return y[:, :rows, :columns]

    sums = [_kernel_sums(row) for row in _kernel_sums(kernel)]
    matrices = [sums[i][j] for i in order for j in order]
    held = 16 * down * across * max(kernel.shape[2:]) * x.dtype.itemsize
    return by_images(convolve, x, matrices, most // held)


def _kernel_sums(entries: Array) -> list[Array]:
    """Of three entries along the first axis: G in the paper."""
    first, middle, last = entries
    outer, inner = (first + last) / 2, middle / 2
    return [first, outer + inner, outer - inner, last]


def _image_sums(x: Array, axis: int) -> list[Array]:
    """Of every four pixels along an axis, two apart: Bᵀ in the paper."""
    a, b, c, d = (
        lax.slice_in_dim(x, start, start + x.shape[axis] - 3, 2, axis) for start in range(4)
    )
    return [a - c, b + c, c - b, b - d]


def _outputs(products: Sequence[Array]) -> list[Array]:
    """The two outputs of four products: Aᵀ in the paper."""
    a, b, c, d = products
    return [a + b + c, b - c - d]
