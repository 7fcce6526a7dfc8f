"""MUNBa: at every step the retain and the forget loss bargain over the direction of the step.

Setting: forget images, retain images and labels; forget labels are not read.

    (1)  L_r = mean CE(f_theta(x), y),  x in a batch of D_r
         L_f = mean CE(f_theta(x), y'),  x in a batch of D_f,  y' ~ Uniform({0..K-1}) fresh in every step, own label too
    (2)  g_r, g_f = their gradients over all parameters;  w_r, w_f = the bargaining weights of g_r and g_f
    (3)  g = w_r g_r + w_f g_f + gamma_e sign(theta),   gamma_e = l1 (1 - e / epochs)  in epoch e = 0, 1, ..
    (4)  theta <- SGD step along  g min(1, clip / (|g| + 1e-6))
    (5)  when D_f ends:  SGD steps along  g_r + gamma_e sign(theta),  unclipped, for the rest of D_r

Equations B1 to B3 of `junlearn.parts.bargaining` are the weights, P1 of `junlearn.parts.pairs` is the epoch. BatchNorm
runs in train mode; its statistics follow the retain batch first and then the forget batch.

By the exact weights (3) has norm sqrt 2 without l1. So a clip at 1 is always active, the step is the unit vector
between the two gradients, and a factor on either loss would change nothing: the rate alone sets the speed.

Defaults (the code's; l1 is ours, the code's default belongs to other methods; l1=0.0001 is that of l1-sparse):

    optimizer          "sgd"
    learning_rate      0.01
    momentum           0.9
    weight_decay       0.0005
    weights            "exact"
    clip               1.0
    l1                 0.0
    epochs             10
    batch_size         256
    forget_batch_size  256
    augment            False

weights="released" is the closed form of the release. It adds 1e-8 to denominators, which is far from small: a network
that fits D_r has |g_r|^2 of 1e-4 to 1e-10, the weights become arbitrary, and most steps are then L_r + 0.1 L_f, which
the release takes where the formula fails. The preset `munba_released` has it, with the augmentation.

Not copied from the release: weights in single precision whatever the gradients are in, and the stop with an error
where D_f has more batches than D_r. The variant on perturbed weights (SAM) is off there, and is left out.

Reference: Wu, Harandi, arXiv 2411.15537.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax

from junlearn.fields import NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import bargaining, descent, l1, pairs
from junlearn.parts.descent import Descent, supervised
from junlearn.parts.optimizers import clip, move, transformation
from junlearn.parts.pairs import Paired, PairedBatch
from junlearn.parts.passes import classes_of
from junlearn.parts.relabelling import drawn
from junlearn.types import (
    Array,
    Batch,
    Key,
    Method,
    Metrics,
    Model,
    Preset,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "bargain", "make", "uniform"]

NEEDS = frozenset({"forget.x", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Paired):
    """Hyper-parameters of MUNBa."""

    weights: Literal["exact", "released"] = "exact"
    """The solution of the bargaining problem, or the release's formula with its fallback."""
    clip: Positive | None = 1.0
    """Largest norm of equation 3."""
    l1: NonNegative = 0.0
    """Of the first epoch; it falls to 0 along a line."""


# A clip or a weight of either loss would change nothing that the rate does not.
SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "l1": Range(0.0, 1e-3),
    "epochs": Range(1, 20),
}

PRESETS = {
    "munba_released": Preset(
        "MUNBa with the weights of its code, which fall back to a fixed sum",
        {"weights": "released", "augment": True},
    )
}
"""As its code does it."""


def uniform(key: Key, batch: Batch, classes: int) -> Array:
    """The labels y' of equation 1."""
    return drawn(key, batch.index, classes)


@remembered
def bargain(
    config: Config,
    model: Model,
    epoch: int,
    labels: Callable[[Key, Batch, int], Array] = uniform,
) -> Callable[[State, PairedBatch], tuple[State, Metrics]]:
    """`step(state, batch)`, where an epoch has `epoch` steps and y' is `labels(key, forget batch, K)`."""
    tx = transformation(config)
    weigh = bargaining.exact if config.weights == "exact" else bargaining.released
    known = supervised(model)

    def unknown(params: PyTree, state: State, batch: Batch, key: Key) -> PyTree:
        """L_f: the labels are drawn when the number of classes is known."""
        draw_key, key = jax.random.split(key)
        classes = classes_of(model, Variables(params, state.variables.stats), batch.x)
        relabelled = batch._replace(y=labels(draw_key, batch, classes))
        return known(params, state, relabelled, key)

    def sparse(gradient: PyTree, state: State) -> PyTree:
        if config.l1 == 0:
            return gradient
        weight = l1.coefficient(config.l1, config.epochs, 0, epoch)
        return l1.penalised(gradient, state.variables.params, weight(state.step))

    def moved(state: State, gradient: PyTree, stats: PyTree) -> State:
        params, optimizer = move(tx, gradient, state.optimizer, state.variables.params)
        return state._replace(
            variables=Variables(params, stats), optimizer=optimizer, step=state.step + 1
        )

    def pair(state: State, batch: PairedBatch) -> tuple[State, Metrics]:
        keys = jax.random.split(jax.random.fold_in(state.key, state.step))
        params = state.variables.params
        value, retain, stats = pairs.pull(known, params, state, batch["retain"], keys[0])
        seen = state._replace(variables=Variables(params, stats))
        _, forget, stats = pairs.pull(unknown, params, seen, batch["forget"], keys[1])
        one, two = weigh(bargaining.gram(retain, forget))  # (2)
        gradient = sparse(jax.tree.map(lambda r, f: one * r + two * f, retain, forget), state)
        if config.clip is not None:
            gradient = clip(gradient, config.clip)  # (4)
        return moved(state, gradient, stats), {"retain_loss": value}

    def alone(state: State, batch: Batch) -> tuple[State, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        value, gradient, stats = pairs.pull(known, state.variables.params, state, batch, key)
        return moved(state, sparse(gradient, state), stats), {"retain_loss": value}  # (5)

    return pairs.either(pair, alone)


def make(config: Config, model: Model) -> Method:
    """Pairs of batches whose gradients bargain."""

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        return descent.init(key, variables, transformation(config))

    def plan(split: Split) -> list[Stage]:
        # Without l1 no step depends on the epoch: one program for requests of all sizes.
        epoch = pairs.steps(config, split) if config.l1 else 1
        step = bargain(config, model, epoch)
        return [Stage("bargain", step, pairs.feed(config, split), config.epochs)]

    return Method(init, plan, lambda state: state.variables)
