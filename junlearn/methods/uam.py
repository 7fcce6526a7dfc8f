"""UAM: descend on the retain loss where a step up the forget loss leads.

Setting: forget and retain images and labels.

    (1)  g_f = grad mean CE over the forget rows of a pair, in train mode, forget and retain rows in one pass
    (2)  theta' = theta + rho_t g_f / (|g_f| + 1e-16)
    (3)  g = grad mean CE over the retain rows at theta', in train mode, the retain rows alone
    (4)  theta <- SGD step along g, from theta
    (5)  when D_f ends:  SGD steps along the retain gradient at theta, for the rest of D_r
    (6)  rho_t = rho;   schedule="cosine":  rho (1 + cos(pi t / T)) / 2  in step t = 0, .., T - 1 of the whole run, once
         t >= start, and rho before

The retain gradient at theta itself has no part in (4). Equation P1 of `junlearn.parts.pairs` is the epoch. BatchNorm
normalises (1) by the moments of both batches together; its running statistics follow this pass, and then that of (3).

Defaults (optimiser and epochs as the code's page gives them; rho, the schedule and the batch sizes are ours):

    optimizer          "sgd"
    learning_rate      0.01
    momentum           0.9
    weight_decay       0.0005
    rho                0.5
    schedule           "constant"
    start              0
    epochs             5
    batch_size         256
    forget_batch_size  256
    augment            False

Left out: a projection that turns gradients round, which the code defines and never calls, and a limit on the forget
rows of (1), in whose place a smaller `forget_batch_size` stands. How the code goes on where one of the sets ends is not
known; (5) is what other methods on pairs do.

Reference: UAM, NeurIPS 2025, by its authors' code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from junlearn.fields import Epochs, Positive, Whole
from junlearn.memo import remembered
from junlearn.parts import descent, losses, pairs
from junlearn.parts.descent import Descent, supervised, updater
from junlearn.parts.optimizers import move, transformation
from junlearn.parts.pairs import Paired, PairedBatch
from junlearn.types import (
    Array,
    Batch,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "State", "forget_loss", "make", "perturbed", "radius"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Paired):
    """Hyper-parameters of UAM."""

    rho: Positive = 0.5
    """How far equation 2 goes; 0 would be fine-tuning."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Of rho."""
    start: Whole = 0
    """First step of the cosine; rho is constant before it."""
    epochs: Epochs = 5


SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "rho": Range(0.01, 5.0, log=True),
    "epochs": Range(1, 20),
}


def radius(config: Config, step: Array, total: int) -> Array:
    """Equation 6 for a run of `total` steps."""
    t = jnp.asarray(step, jnp.result_type(float))
    if config.schedule == "constant":
        return jnp.full_like(t, config.rho)
    return config.rho * jnp.where(t < config.start, 1.0, 0.5 * (1 + jnp.cos(jnp.pi * t / total)))


def perturbed(params: PyTree, gradient: PyTree, rho: Array) -> PyTree:
    """Equation 2."""
    scale = rho / (optax.tree.norm(gradient) + 1e-16)
    return jax.tree.map(lambda w, g: w + scale.astype(w.dtype) * g, params, gradient)


def forget_loss(model: Model) -> descent.Loss:
    """The loss of equation 1, of a pair of batches."""

    def loss(
        params: PyTree, state: State, batch: PairedBatch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        forget, retain = batch["forget"], batch["retain"]
        x, mask = (
            jnp.concatenate(both) for both in ((forget.x, retain.x), (forget.mask, retain.mask))
        )
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(variables, x, train=True, key=key, mask=mask)
        return losses.cross_entropy(logits[: len(forget.x)], forget.y, forget.mask), (stats, {})

    return loss


def make(config: Config, model: Model) -> Method:
    """Retain gradients at weights that forget less well."""
    tx = transformation(config)
    ascent, descending = forget_loss(model), supervised(model)
    plain = updater(descending, tx)

    @remembered
    def step(total: int) -> Callable[[State, PairedBatch], tuple[State, Metrics]]:
        def pair(state: State, batch: PairedBatch) -> tuple[State, Metrics]:
            keys = jax.random.split(jax.random.fold_in(state.key, state.step))
            params = state.variables.params
            _, up, stats = pairs.pull(ascent, params, state, batch, keys[0])  # (1)
            seen = state._replace(variables=Variables(params, stats))
            there = perturbed(params, up, radius(config, state.step, total))
            value, down, stats = pairs.pull(descending, there, seen, batch["retain"], keys[1])
            params, optimizer = move(tx, down, state.optimizer, params)  # (4)
            after = Descent(Variables(params, stats), optimizer, state.key, state.step + 1)
            return after, {"retain_loss": value}

        def alone(state: State, batch: Batch) -> tuple[State, Metrics]:
            state, metrics = plain(state, batch, jax.random.fold_in(state.key, state.step))
            return state, {"retain_loss": metrics["loss"]}  # (5)

        return pairs.either(pair, alone)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        return descent.init(key, variables, tx)

    def plan(split: Split) -> list[Stage]:
        # A constant rho does not depend on the number of steps: one program for requests of all sizes.
        total = 1 if config.schedule == "constant" else config.epochs * pairs.steps(config, split)
        return [Stage("away", step(total), pairs.feed(config, split), config.epochs)]

    return Method(init, plan, lambda state: state.variables)
