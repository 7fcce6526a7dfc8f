"""The optimisers that the papers use, with PyTorch's conventions, and their learning-rate schedules."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from junlearn.compiler import jitted
from junlearn.errors import ConfigError
from junlearn.fields import Momentum, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts.layers import in_layers
from junlearn.types import Array, PyTree

__all__ = [
    "Optimizer",
    "Rated",
    "ScheduleKind",
    "clip",
    "clipped",
    "cycled_momentum",
    "fresh",
    "move",
    "multistep",
    "only",
    "rated",
    "schedule",
    "side_by_side",
    "transformation",
    "warm_linear",
]

ScheduleKind = Literal[
    "constant", "cosine", "epoch_cosine", "linear", "multistep", "one_cycle", "warm_linear"
]

ONE_CYCLE_RISE = 0.3
"""Share of a one-cycle schedule in which the rate rises."""
ONE_CYCLE_START = 25.0
"""Peak rate over the first rate of a one-cycle schedule."""
ONE_CYCLE_END = 1e4
"""First rate over the last rate of a one-cycle schedule."""


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Fields that every method with an optimiser has; a method's `Config` inherits and sets its own defaults."""

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Momentum = 0.9
    """Heavy-ball momentum of sgd; adam and adamw use 0.9 and 0.999."""
    weight_decay: NonNegative = 0.0
    """Coupled (added to the gradient) for sgd and adam, decoupled for adamw, as in PyTorch."""


@remembered
def transformation(
    config: Optimizer,
    learning_rate: optax.Schedule | None = None,
    momentum: optax.Schedule | None = None,
) -> optax.GradientTransformation:
    """The optax transformation of `config`.

    `learning_rate` and `momentum` (functions of the step) replace the constants; the latter is for sgd alone.
    """
    rate = config.learning_rate if learning_rate is None else learning_rate
    if config.optimizer == "adamw":
        return optax.adamw(rate, weight_decay=config.weight_decay)
    if config.optimizer == "adam":
        descent = optax.adam(rate)
    elif momentum is not None:
        descent = optax.inject_hyperparams(optax.sgd)(learning_rate=rate, momentum=momentum)
    else:
        descent = optax.sgd(rate, momentum=config.momentum or None)
    if config.weight_decay == 0:
        return descent
    return optax.chain(optax.add_decayed_weights(config.weight_decay), descent)


def fresh(tx: optax.GradientTransformation, params: PyTree) -> PyTree:
    """The state of `tx` before its first step, made in one compiled program."""
    return jitted(tx.init)(params)


def move(
    tx: optax.GradientTransformation, gradient: PyTree, optimizer: PyTree, params: PyTree
) -> tuple[PyTree, PyTree]:
    """One step of `tx` along `gradient`: the new params and the new state of the optimiser."""
    change, optimizer = tx.update(gradient, optimizer, params)
    return optax.apply_updates(params, change), optimizer


class Rated(NamedTuple):
    """The state of an optimiser whose learning rate is a number in it, which one compiled step takes as it comes."""

    inner: PyTree
    rate: Array


@remembered
def rated(config: Optimizer) -> optax.GradientTransformation:
    """`transformation(config)` with a state of `Rated`; `init` puts the rate of `config` there."""
    unit = transformation(replace(config, learning_rate=1.0))

    def init(params: PyTree) -> Rated:
        return Rated(unit.init(params), jnp.asarray(config.learning_rate, jnp.result_type(float)))

    def update(gradient: PyTree, state: Rated, params: PyTree = None) -> tuple[PyTree, Rated]:
        change, inner = unit.update(gradient, state.inner, params)
        rate = state.rate
        change = jax.tree.map(lambda leaf: rate.astype(leaf.dtype) * leaf, change)
        return change, Rated(inner, rate)

    return optax.GradientTransformation(init, update)


@remembered
def only(tx: optax.GradientTransformation, layers: Collection[str]) -> optax.GradientTransformation:
    """`tx` on the top-level groups of parameters in `layers`; all others stay as they are, without decay either.

    PyTorch's optimisers pass over a parameter that the loss does not reach. A full tree of gradients has zeros there,
    which weight decay under Adam would turn into steps of the size of the rate.
    """

    def label(params: PyTree) -> PyTree:
        inside = in_layers(params, layers)
        return jax.tree.map(lambda trained: "trained" if trained else "frozen", inside)

    return optax.partition({"trained": tx, "frozen": optax.set_to_zero()}, label)


@remembered
def side_by_side(
    *optimizers: optax.GradientTransformation,
) -> tuple[optax.GradientTransformation, ...]:
    """`optimizers` of the same weights, each with a momentum of its own: they take turns on one state.

    The state is a tuple of all of theirs. Each of those returned moves the weights by its own part alone, and leaves
    the other parts as they are.
    """

    def init(params: PyTree) -> PyTree:
        return tuple(tx.init(params) for tx in optimizers)

    def turn(place: int, tx: optax.GradientTransformation) -> optax.GradientTransformation:
        def update(gradient: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
            change, own = tx.update(gradient, state[place], params)
            return change, (*state[:place], own, *state[place + 1 :])

        return optax.GradientTransformation(init, update)

    return tuple(turn(place, tx) for place, tx in enumerate(optimizers))


def clip(gradient: PyTree, limit: float) -> PyTree:
    """`gradient` scaled by min(1, limit / (|g| + 1e-6)), |g| its global norm, as PyTorch does."""
    scale = jnp.minimum(1.0, limit / (optax.tree.norm(gradient) + 1e-6))
    return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), gradient)


@remembered
def clipped(tx: optax.GradientTransformation, limit: float) -> optax.GradientTransformation:
    """`tx` of gradients that went through `clip`."""

    def update(gradient: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        del params
        return clip(gradient, limit), state

    clipping = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
    return optax.chain(clipping, tx)


@remembered
def schedule(
    kind: ScheduleKind,
    peak: float,
    *,
    steps_per_epoch: int,
    total: int,
    warmup_epochs: float = 0.0,
    milestones: tuple[int, ...] = (),
    decay: float = 0.2,
) -> optax.Schedule:
    """Learning rate as a function of the step count t = 0, 1, ... over `total` steps.

    The first `warmup_epochs` rise linearly from 0 to `peak`; after them the rate is `constant`, falls to 0 as a half
    `cosine` or as a line (`linear`), or is multiplied by `decay` at the start of each epoch in `milestones`
    (`multistep`; epochs count from 0). An `epoch_cosine` keeps the rate of an epoch's first step throughout the epoch.

    `one_cycle` runs over all steps: from peak / 25 to `peak` in the first 30 %, then down to peak / 250,000 at the last
    one, both as half cosines. A warm-up is laid over its beginning as in the release of JiT: up to and including step
    `warmup_epochs * steps_per_epoch` the rate rises from 0 to the cycle's first rate, and then jumps onto the cycle.

    `warm_linear` is the function of that name.
    """
    if kind == "warm_linear":
        if warmup_epochs:
            raise ConfigError('schedule="warm_linear" has its own warm-up: set warmup_epochs to 0')
        return warm_linear(peak, total)
    warmup = warmup_epochs * steps_per_epoch

    def rate(count: Array) -> Array:
        t = jnp.asarray(count, jnp.result_type(float))
        if kind == "one_cycle":
            first = peak / ONE_CYCLE_START
            cycle = _one_cycle(t, total, first, peak, first / ONE_CYCLE_END)
            return jnp.where(t <= warmup, first * t / warmup, cycle) if warmup else cycle
        held = (count // steps_per_epoch) * steps_per_epoch if kind == "epoch_cosine" else t
        progress = jnp.clip((held - warmup) / max(total - warmup, 1), 0.0, 1.0)
        if kind in ("cosine", "epoch_cosine"):
            shape = 0.5 * (1 + jnp.cos(jnp.pi * progress))
        elif kind == "linear":
            shape = 1 - progress
        elif kind == "multistep":
            epoch = count // steps_per_epoch
            passed = sum((jnp.asarray(epoch >= m, t.dtype) for m in milestones), jnp.zeros(()))
            shape = decay**passed
        else:
            shape = jnp.ones(())
        rise = jnp.minimum(t / warmup, 1.0) if warmup else jnp.ones(())
        return peak * jnp.where(t < warmup, rise, shape)

    return rate


def multistep(
    config: Optimizer, milestones: tuple[int, ...], decay: float, steps_per_epoch: int
) -> optax.GradientTransformation:
    """`transformation`, its rate multiplied by `decay` at the start of each epoch in `milestones`, if there are any."""
    if not milestones:
        return transformation(config)
    rate = schedule(
        "multistep",
        config.learning_rate,
        steps_per_epoch=steps_per_epoch,
        total=steps_per_epoch * max(milestones),
        milestones=milestones,
        decay=decay,
    )
    return transformation(config, rate)


@remembered
def warm_linear(peak: float, total: int) -> optax.Schedule:
    """The schedule of Corrective Unlearning over `total` steps t = 0, 1, ...

    A hundredth of them, w, warms up: peak (t + 1) / (w + 1); after them peak (1 - (t - w) / (1.25 total)), which ends
    at about a fifth of `peak`.
    """
    warmup = total // 100

    def rate(count: Array) -> Array:
        t = jnp.asarray(count, jnp.result_type(float))
        falling = 1 - (t - warmup) / (1.25 * total)
        return peak * jnp.where(t < warmup, (t + 1) / (warmup + 1), falling)

    return rate


@remembered
def cycled_momentum(total: int, high: float = 0.95, low: float = 0.85) -> optax.Schedule:
    """The momentum beside a `one_cycle` rate of `total` steps: `high`, falling to `low` at the peak, and back."""
    return lambda count: _one_cycle(
        jnp.asarray(count, jnp.result_type(float)), total, high, low, high
    )


def _one_cycle(t: Array, total: int, first: float, peak: float, last: float) -> Array:
    """Half a cosine from `first` to `peak` in the first 30 % of `total` steps, another one to `last`."""
    top = ONE_CYCLE_RISE * total - 1
    up = jnp.clip(t / top, 0.0, 1.0)
    down = jnp.clip((t - top) / (total - 1 - top), 0.0, 1.0)
    rising = peak + (first - peak) * 0.5 * (1 + jnp.cos(jnp.pi * up))
    falling = last + (peak - last) * 0.5 * (1 + jnp.cos(jnp.pi * down))
    return jnp.where(t <= top, rising, falling)
