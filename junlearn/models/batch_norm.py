"""Batch normalisation in few passes over memory, in training.

Left to JAX, the gradient of a mean and of a variance is put together from the gradients of their parts, and on a CPU
XLA writes most of these down: some thirty passes over arrays of the size of the batch. The derivative is

    dy = factor·dx + u + (x - mean)·v,    factor = scale / σ,
    u = dbias - factor · mean of dx,
    v = dscale / σ - factor / σ² · mean of (x - mean)·dx,

whose transpose takes two sums over the batch and one pass to write the gradient.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

from junlearn.parts.passes import along_rows
from junlearn.types import Array

__all__ = ["normalise", "normalise_by"]

Mask = Array | None
Outcome = tuple[Array, Array, Array, Array]
"""y[B,...,C], mean[C], biased variance[C], count."""


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def normalise(x: Array, scale: Array, bias: Array, mask: Mask, epsilon: float) -> Outcome:
    """`x[B,...,C]` normalised over all axes but the last, by its statistics over the rows in `mask[B]`.

    Gives y[B,...,C], the mean[C], the biased variance[C] and the number of values a channel. In the other rows y is
    zero, and what stands there has no influence on the rest. Derivatives are of every order and in both modes.
    """
    return _normalised(x, scale, bias, mask, epsilon)[0]


@normalise.defjvp
def _normalise_jvp(
    epsilon: float,
    primals: tuple[Array, Array, Array, Mask],
    tangents: tuple[Array, Array, Array, Mask],
) -> tuple[Outcome, Outcome]:
    x, scale, bias, mask = primals
    dx, dscale, dbias, _ = tangents
    outcome, inverse = _normalised(x, scale, bias, mask, epsilon)
    _, mean, _, count = outcome
    values = jnp.maximum(count, 1)
    factor = scale * inverse
    dx = _rows_of(mask, dx)
    dmean = _total(dx) / values
    along = _total(_rows_of(mask, x - _last(mean, x)) * dx) / values
    u = dbias - factor * dmean
    v = inverse * dscale - factor * jnp.square(inverse) * along
    # Not x - mean, which is above: what a sum over the batch is taken of must have no other use, or it is written
    # down first. For the same reason rows are left out of u and v, and so of the sums by row.
    centred = _rows_of(mask, x) + _last(-mean, x)
    dy = _last(factor, x) * dx + _by_row(mask, u, x) + centred * _by_row(mask, v, x)
    return outcome, (dy, dmean, 2 * along, jnp.zeros_like(count))


def normalise_by(
    x: Array, scale: Array, bias: Array, mask: Mask, mean: Array, var: Array, epsilon: float
) -> Array:
    """`x[B,...,C]` normalised by the mean[C] and the variance[C] that are given; rows outside of the mask are zero
    before.
    """
    return _moved(_rows_of(mask, x), mean, scale * jax.lax.rsqrt(var + epsilon), bias)


def _normalised(
    x: Array, scale: Array, bias: Array, mask: Mask, epsilon: float
) -> tuple[Outcome, Array]:
    """What `normalise` gives, and 1/σ[C]."""
    positions = math.prod(x.shape[1:-1])
    rows = jnp.asarray(x.shape[0], x.dtype) if mask is None else mask.sum(dtype=x.dtype)
    count = rows * positions
    values = jnp.maximum(count, 1)
    total = _row_total(x, mask)
    mean = total / values
    # Not the mean above, for the reason given there: it differs by rounding alone.
    var = _row_total(jnp.square(x - _last(total * (1 / values), x)), mask) / values
    inverse = jax.lax.rsqrt(var + epsilon)
    y = _moved(x, mean, scale * inverse, bias)
    return (_rows_of(mask, y), mean, var, count), inverse


def _moved(x: Array, mean: Array, factor: Array, bias: Array) -> Array:
    """`x[B,...,C]` normalised, with the numbers of every channel."""
    return (x - _last(mean, x)) * _last(factor, x) + _last(bias, x)


def _last(values: Array, x: Array) -> Array:
    """`values[C]` along the last axis of `x`."""
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


def _by_row(mask: Mask, values: Array, x: Array) -> Array:
    """`values[C]` along the last axis of `x[B,...,C]`, zero in the rows outside of the mask."""
    if mask is None:
        return _last(values, x)
    held = jnp.where(mask[:, None], values[None], 0)
    return held.reshape(len(mask), *(1,) * (x.ndim - 2), -1)


def _rows_of(mask: Mask, x: Array) -> Array:
    """`x[B,...,C]`, zero in the rows outside of the mask."""
    return x if mask is None else jnp.where(along_rows(mask, x), x, 0)


def _total(x: Array) -> Array:
    """The sum[C] of `x[B,...,C]`."""
    return x.sum(tuple(range(x.ndim - 1)))


def _row_total(x: Array, mask: Mask) -> Array:
    """The sum[C] of the rows of `x[B,...,C]` in the mask, taken row by row: the others need not be finite."""
    rows = x.sum(tuple(range(1, x.ndim - 1)))
    return _total(_rows_of(mask, rows))
