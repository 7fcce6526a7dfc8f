"""How to weigh two gradients so that both losses fall: the point that two bargaining players agree on.

(B1)  a = |g_1|^2,  b = g_1.g_2,  c = |g_2|^2,   over all parameters together
(B2)  w_1, w_2 > 0  with  a w_1 + b w_2 = 1 / w_1  and  b w_1 + c w_2 = 1 / w_2
(B3)  exact:  q = b / (|g_1| |g_2|),   w_1 = 1 / (|g_1| sqrt(1 + q)),   w_2 = 1 / (|g_2| sqrt(1 + q))
(B4)  w_1 g_1 + w_2 g_2  has norm sqrt 2 and makes equal angles with g_1 and g_2, however large the two are
"""

from typing import NamedTuple

import jax.numpy as jnp
import optax

from junlearn.types import Array, PyTree

__all__ = ["Gram", "exact", "gram", "released"]

VANISHED = 1e-12
"""A gradient with a smaller norm has no direction."""
OPPOSED = 1e-6
"""Smallest 1 + q: gradients that are opposed have no point that both gain from."""
SMOOTHED = 1e-8
"""What the release adds to its denominators."""
FALLBACK = (1.0, 0.1)
"""The weights of the release where its formula gives none."""


class Gram(NamedTuple):
    """Equation B1."""

    first: Array
    cross: Array
    second: Array


def gram(first: PyTree, second: PyTree) -> Gram:
    """The inner products of two gradients."""
    return Gram(
        optax.tree.vdot(first, first),
        optax.tree.vdot(first, second),
        optax.tree.vdot(second, second),
    )


def exact(products: Gram) -> tuple[Array, Array]:
    """Equation B3. Where one gradient is 0 the other has weight 1; q is at least -1 + 1e-6."""
    one, two = jnp.sqrt(products.first), jnp.sqrt(products.second)
    both = (one >= VANISHED) & (two >= VANISHED)
    one, two = (jnp.where(both, norm, 1.0) for norm in (one, two))
    agreement = jnp.maximum(1 + products.cross / one / two, OPPOSED)
    scale = jnp.where(both, jnp.reciprocal(jnp.sqrt(agreement)), 1.0)
    return scale / one, scale / two


def released(products: Gram) -> tuple[Array, Array]:
    """The closed form of the release, which fails for small gradients.

    w_1 = sqrt((a c - b sqrt(a c)) / (a^2 c - a b^2 + 1e-8)),  w_2 = (1 - a w_1^2) / (b w_1 + 1e-8).  It falls back to
    1 and 0.1 where not both are positive.
    """
    a, b, c = products
    numerator = a * c - b * jnp.sqrt(a * c)
    denominator = a * a * c - a * b * b + SMOOTHED
    first = jnp.sqrt(numerator / denominator)
    second = (1 - a * first * first) / (b * first + SMOOTHED)
    agreed = (first > 0) & (second > 0)  # False for NaN too
    return jnp.where(agreed, first, FALLBACK[0]), jnp.where(agreed, second, FALLBACK[1])
