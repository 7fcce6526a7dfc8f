"""Which entries of an array are the smallest, without sorting it.

On a CPU XLA sorts the weights of LAF's CNN in 0.1 s and those of a ResNet-18 in 3 s, 20 times as long as this takes.
The value at a rank is found bit by bit: floating point is read as whole numbers in the same order, and for each bit,
the highest first, the numbers below are counted. That is exact, and takes as many passes as a number has bits.

Both are compiled: a loop outside a compiled function would be compiled anew by every call.
"""

import jax
import jax.numpy as jnp

from junlearn.compiler import jitted
from junlearn.types import Array

__all__ = ["at_rank", "smallest"]


@jitted
def at_rank(values: Array, rank: int | Array) -> Array:
    """The entry of `values[N]` that has `rank` others before it in ascending order, 0 <= rank < N; NaN comes last."""
    keys = _keys(values)
    place = _find(keys, rank)
    return values[jnp.argmax(keys == place)]


@jitted
def smallest(values: Array, count: int | Array) -> Array:
    """bool[N]: the `count` smallest of `values[N]`, of equal ones the first in memory; NaN comes last."""
    keys = _keys(values)
    last = _find(keys, count - 1)
    below, equal = keys < last, keys == last
    index = jnp.arange(len(values), dtype=jnp.uint32)
    # Of the equal ones so many are wanted as are not below: up to the index of the last of them.
    wanted = count - below.sum(dtype=jnp.int32)
    end = _find(jnp.where(equal, index, jnp.uint32(len(values))), wanted - 1)
    return (count > 0) & (below | (equal & (index <= end)))


def _find(keys: Array, rank: int | Array) -> Array:
    """The number that has `rank` others before it among the unsigned `keys[N]`."""
    bits = 8 * keys.dtype.itemsize
    one = jnp.ones((), keys.dtype)

    def narrow(step: Array, found: Array) -> Array:
        tried = found | (one << (bits - 1 - step).astype(keys.dtype))
        return jnp.where((keys < tried).sum(dtype=jnp.int32) <= rank, tried, found)

    return jax.lax.fori_loop(0, bits, narrow, jnp.zeros((), keys.dtype))


def _keys(values: Array) -> Array:
    """`values` of floating point as unsigned whole numbers in the same order; -0 is 0, and all NaN are the last."""
    values = jnp.where(values == 0, 0, jnp.where(jnp.isnan(values), jnp.nan, values))
    kind = jnp.dtype(f"uint{8 * values.dtype.itemsize}")
    bits = jax.lax.bitcast_convert_type(values, kind)
    sign = jnp.array(1, kind) << (8 * values.dtype.itemsize - 1)
    return jnp.where(bits & sign != 0, ~bits, bits | sign)
