"""The nearest adversarial example of an image: an L2 attack whose radius doubles until the network changes its mind.

    (L1)  r = eps0,  x' = x;  up to `steps` times, pixels in [0, 1], the network f in eval mode:
              if  argmax_c f(x')_c != y:   y' = argmax_c f(x')_c,  done
              u = d CE(f(x'), y) / d x';   x' <- x' + (r / 10) u / (|u|_2 + 1e-10)
              x' <- clip(x + (x' - x) min(1, r / |x' - x|_2), 0, 1)
          not done:  r <- 2 r,  and again from the x' that is there, up to `doublings` times

Each image of a batch has a radius of its own, and rows do not see each other. An image that the network takes for
another class already is its own x'. One that is not done after the last doubling is not found, for example where the
gradient is 0. Pixels are those before the view normalises them; one that is outside of [0, 1] in x may stay there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from junlearn.parts.passes import along_rows
from junlearn.types import Array, Batch, Model, Variables

__all__ = ["Found", "nearest"]


class Found(NamedTuple):
    """The attack on a batch."""

    shift: Array
    """float32[B,H,W,C]: x' - x, in pixels."""
    labels: Array
    """int32[B]: y'."""
    found: Array
    """bool[B]."""
    radius: Array
    """float32[B]: the r that it was found with, or the last one."""


def nearest(
    model: Model,
    variables: Variables,
    batch: Batch,
    black: Array,
    white: Array,
    *,
    eps0: float,
    steps: int,
    doublings: int,
) -> Found:
    """(L1) on the rows inside of the mask, each with a radius of its own."""
    span, x, y = white - black, batch.x, batch.y
    lowest, highest = jnp.minimum((black - x) / span, 0), jnp.maximum((white - x) / span, 0)
    last = steps * (doublings + 1)

    def loss(shift: Array) -> tuple[Array, Array]:
        logits, _, _ = model.apply(variables, x + span * shift)
        entropy = optax.losses.softmax_cross_entropy_with_integer_labels(logits, y)
        return jnp.where(batch.mask, entropy, 0).sum(), logits.argmax(-1).astype(y.dtype)

    def norm(rows: Array) -> Array:
        return jnp.sqrt(jnp.square(rows).sum(axis=tuple(range(1, rows.ndim)), keepdims=True))

    def goes_on(carry: tuple[Array, Found]) -> Array:
        step, now = carry
        return (step <= last) & (batch.mask & ~now.found).any()

    def advance(carry: tuple[Array, Found]) -> tuple[Array, Found]:
        step, now = carry
        u, answers = jax.grad(loss, has_aux=True)(now.shift)
        labels = jnp.where(now.found, now.labels, answers)
        # The radius is that of this step, which an image that is found now keeps.
        doubled = eps0 * 2.0 ** jnp.minimum(step // steps, doublings).astype(x.dtype)
        radius = jnp.where(now.found, now.radius, doubled)
        found = now.found | (answers != y)
        room = along_rows(radius, x)
        moved = now.shift + room / 10 * u / (norm(u) + 1e-10)
        far = norm(moved)
        moved = jnp.where(far > room, moved * (room / jnp.where(far > 0, far, 1)), moved)
        moved = jnp.clip(moved, lowest, highest)
        return step + 1, Found(
            jnp.where(along_rows(found, x), now.shift, moved), labels, found, radius
        )

    begun = Found(jnp.zeros_like(x), y, jnp.zeros(len(y), bool), jnp.full(len(y), eps0, x.dtype))
    return jax.lax.while_loop(goes_on, advance, (jnp.zeros((), jnp.int32), begun))[1]
