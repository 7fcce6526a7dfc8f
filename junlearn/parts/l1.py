"""The l1 penalty whose weight falls to 0: its schedule, its subgradient, and its proximal step.

    (L1)  gamma_e = gamma (1 - e / (E - E0))  in epoch e = 0, 1, .. < E - E0 of E,  0 in the last E0;  E0 = E: gamma
          in all epochs
    (L2)  g <- g + gamma_e sign(theta),  0 at 0, for all parameters: biases, scales and shifts of BatchNorm too
    (L3)  in the place of (L2), after the step:  theta <- sign(theta) max(|theta| - eta gamma_e, 0),  eta the rate

With (L2) weights oscillate about 0 and none becomes 0; (L3) makes exact zeros.
"""

import jax
import jax.numpy as jnp
import optax

from junlearn.memo import remembered
from junlearn.types import Array, PyTree

__all__ = ["coefficient", "penalised", "proximal", "subgradient"]


@remembered
def coefficient(
    gamma: float, epochs: int, free_epochs: int, steps_per_epoch: int
) -> optax.Schedule:
    """Equation L1 as a function of the step t = 0, 1, ..; `free_epochs` is E0.

    Raises ValueError where E0 > E.
    """
    if free_epochs > epochs:
        raise ValueError(f"of {epochs} epochs {free_epochs} cannot be without the penalty")

    def weight(count: Array) -> Array:
        epoch = jnp.asarray(count // steps_per_epoch, jnp.result_type(float))
        if free_epochs == epochs:
            return jnp.full_like(epoch, gamma)
        return gamma * jnp.maximum(1 - epoch / (epochs - free_epochs), 0)

    return weight


def penalised(gradient: PyTree, params: PyTree, weight: Array) -> PyTree:
    """Equation L2 at one step, with gamma_e = `weight`."""
    return jax.tree.map(lambda g, p: g + weight.astype(g.dtype) * jnp.sign(p), gradient, params)


@remembered
def subgradient(
    tx: optax.GradientTransformation, weight: optax.Schedule
) -> optax.GradientTransformation:
    """`tx` on the gradient of equation L2, with `weight` of the step."""

    def update(gradient: PyTree, count: Array, params: PyTree = None) -> tuple[PyTree, Array]:
        return penalised(gradient, params, weight(count)), count + 1

    return optax.chain(optax.GradientTransformation(_first, update), tx)


@remembered
def proximal(
    tx: optax.GradientTransformation, weight: optax.Schedule, rate: optax.Schedule
) -> optax.GradientTransformation:
    """`tx`, and after its step equation L3, with `weight` and `rate` of the step."""

    def update(change: PyTree, count: Array, params: PyTree = None) -> tuple[PyTree, Array]:
        threshold = rate(count) * weight(count)

        def leaf(u: Array, p: Array) -> Array:
            moved = p + u
            soft = jnp.sign(moved) * jnp.maximum(jnp.abs(moved) - threshold.astype(p.dtype), 0)
            return soft - p

        return jax.tree.map(leaf, change, params), count + 1

    return optax.chain(tx, optax.GradientTransformation(_first, update))


def _first(params: PyTree) -> Array:
    return jnp.zeros((), jnp.int32)
