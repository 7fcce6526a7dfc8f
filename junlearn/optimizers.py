"""The optimisers that the papers use, with PyTorch's conventions, and their learning-rate schedules."""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import optax

from junlearn.fields import Momentum, NonNegative, Positive
from junlearn.types import Array

__all__ = ["Optimizer", "schedule", "transformation"]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Fields that every method with an optimiser has; a method's `Config` inherits and sets its own defaults."""

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Momentum = 0.9
    """Heavy-ball momentum of sgd; adam and adamw use 0.9 and 0.999."""
    weight_decay: NonNegative = 0.0
    """Coupled (added to the gradient) for sgd and adam, decoupled for adamw, as in PyTorch."""


def transformation(
    config: Optimizer, learning_rate: optax.Schedule | None = None
) -> optax.GradientTransformation:
    """The optax transformation of `config`; `learning_rate` (a function of the step) replaces the constant rate."""
    rate = config.learning_rate if learning_rate is None else learning_rate
    if config.optimizer == "adamw":
        return optax.adamw(rate, weight_decay=config.weight_decay)
    if config.optimizer == "adam":
        descent = optax.adam(rate)
    else:
        descent = optax.sgd(rate, momentum=config.momentum or None)
    if config.weight_decay == 0:
        return descent
    return optax.chain(optax.add_decayed_weights(config.weight_decay), descent)


def schedule(
    kind: Literal["constant", "cosine", "linear", "multistep"],
    peak: float,
    *,
    steps_per_epoch: int,
    epochs: int,
    warmup_epochs: float = 0.0,
    milestones: tuple[int, ...] = (),
    decay: float = 0.2,
) -> optax.Schedule:
    """Learning rate as a function of the step count t = 0, 1, ...

    The first `warmup_epochs` rise linearly from 0 to `peak`; after them the rate is `constant`, falls to 0 as a half
    `cosine` or as a line (`linear`), or is multiplied by `decay` at the start of each epoch in `milestones`
    (`multistep`; epochs count from 0).
    """
    warmup = warmup_epochs * steps_per_epoch
    total = epochs * steps_per_epoch

    def rate(count: Array) -> Array:
        t = jnp.asarray(count, jnp.float32)
        progress = jnp.clip((t - warmup) / max(total - warmup, 1), 0.0, 1.0)
        if kind == "cosine":
            shape = 0.5 * (1 + jnp.cos(jnp.pi * progress))
        elif kind == "linear":
            shape = 1 - progress
        elif kind == "multistep":
            epoch = count // steps_per_epoch
            passed = sum((jnp.asarray(epoch >= m, jnp.float32) for m in milestones), jnp.zeros(()))
            shape = decay**passed
        else:
            shape = jnp.ones(())
        rise = jnp.minimum(t / warmup, 1.0) if warmup else jnp.ones(())
        return peak * jnp.where(t < warmup, rise, shape)

    return rate
