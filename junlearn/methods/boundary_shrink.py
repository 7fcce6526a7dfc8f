"""Boundary Shrink: train the forget set towards the class on the other side of its nearest decision boundary.

Setting: forget images and labels; no retain data.

    (1)  x' = x + epsilon sign(d CE(f_0(x), y) / d x)                            steps=1: one step of epsilon
         x' <- clip(x' + step_size sign(d CE(f_0(x'), y) / d x'), x - epsilon, x + epsilon),  `steps` times
    (2)  y' = argmax_{c != y} f_0(x')_c
    (3)  minimise  mean CE(f(x), y'),  x in D_f

f_0 is the original network. The first stage finds the labels of (2), the second trains on them. epsilon and step_size
are shares of a pixel's range, black to white: where the view divides a channel by its std, so are they. x' is not
clipped to that range. Where the attack does not leave the true class, (2) takes the largest of the other logits.

BatchNorm runs in eval mode in both stages and its running statistics stay: those of batches of forget images alone
would replace what the network knows of all data. Its scales and shifts are trained like any weight.

Defaults (epsilon, momentum, epochs and batch size as in common use of the method; the rate is ours):

    optimizer      "sgd"
    learning_rate  0.0001
    momentum       0.9
    weight_decay   0.0
    epsilon        0.1
    steps          1
    step_size      None
    epochs         10
    batch_size     64
    augment        False

The usual rate is 1e-5, for large networks and sets of thousands. The result depends on rate times number of updates:
30 updates of a small CNN on a class of digits leave 75 % of the class at 1e-5, none at 1e-4 (retained 98 %), and cost
the rest 20 points at 1e-3.

Reference: Chen, Gao, Liu, Peng, Wang, CVPR 2023 (arXiv 2303.11570).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Count, Epochs, NonNegative, Positive
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.parts.passes import scatter_rows
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "NearestClasses", "State", "attack", "make", "nearest_other"]

NEEDS = frozenset({"forget.x", "forget.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of Boundary Shrink."""

    learning_rate: Positive = 1e-4
    epsilon: NonNegative = 0.1
    """Radius of the L-infinity ball of the attack, pixels in [0, 1]."""
    steps: Count = 1
    step_size: Positive | None = None
    """Of each step of the attack, pixels in [0, 1]; None: epsilon. Usual with 5 steps: 8/255."""
    epochs: Epochs = 10
    batch_size: BatchSize = 64
    augment: bool = False
    """Use the training augmentation of the dataset in (3)."""


# Around the rates of the head, from those that change nothing to those that ruin a small network.
SPACE: Space = {
    "learning_rate": Range(1e-6, 1e-3, log=True),
    "epsilon": Range(0.01, 0.3, log=True),
    "epochs": Range(1, 20),
}


class NearestClasses(NamedTuple):
    """What the attack finds, and its unit."""

    labels: Array
    """int32[N]: equation 2."""
    pixel: Array
    """float32[1,1,1,C]: how far the network's input is moved by a pixel that goes from black to white."""


def attack(
    model: Model,
    variables: Variables,
    x: Array,
    y: Array,
    *,
    radius: float | Array,
    size: float | Array,
    steps: int,
) -> Array:
    """Equation 1: like `x[B,H,W,C]`, moved to where the loss against `y[B]` is larger, each row by itself.

    `radius` and `size` are in the units of `x`, for all channels or [1,1,1,C].
    """

    def loss(x: Array) -> Array:
        logits, _, _ = model.apply(variables, x)
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, y).sum()

    moved = x
    for _ in range(steps):
        moved = moved + size * jnp.sign(jax.grad(loss)(moved))
        moved = jnp.clip(moved, x - radius, x + radius)
    return moved


def nearest_other(logits: Array, labels: Array) -> Array:
    """Equation 2: int32[B], the class of the largest logit but that of `labels[B]`."""
    own = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    return jnp.argmax(jnp.where(own, -jnp.inf, logits), axis=-1).astype(labels.dtype)


def make(config: Config, model: Model) -> Method:
    """A pass that fills a table of labels, then supervised training on it."""
    tx = transformation(config)
    size = config.epsilon if config.step_size is None else config.step_size
    train = descend(
        supervised(model, labels=lambda state, batch: state.extra.labels[batch.index], train=False),
        tx,
    )

    def relabel(state: State, batch: Batch) -> tuple[State, Metrics]:
        moved = attack(
            model,
            state.variables,
            batch.x,
            batch.y,
            radius=config.epsilon * state.extra.pixel,
            size=size * state.extra.pixel,
            steps=config.steps,
        )
        logits, _, _ = model.apply(state.variables, moved)
        nearest = nearest_other(logits, batch.y)
        table = scatter_rows(state.extra.labels, batch.index, batch.mask, nearest)
        return state._replace(extra=state.extra._replace(labels=table)), {
            "crossed": 1 - losses.accuracy(logits, batch.y, batch.mask)
        }

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del split
        channels = sources["train"].x.shape[-1]
        table = NearestClasses(jnp.zeros_like(sources["train"].y), jnp.ones((1, 1, 1, channels)))
        return descent.init(key, variables, tx, extra=table)

    def with_pixel(state: State, black: Array, white: Array) -> State:
        return state._replace(extra=state.extra._replace(pixel=white - black))

    def plan(split: Split) -> list[Stage]:
        view = "augment" if config.augment else "eval"

        def once(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(split.forget, config.batch_size)

        def shuffled(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.forget, config.batch_size, view=view)

        return [
            Stage("nearest classes", relabel, once),
            Stage("shrink", train, shuffled, config.epochs),
        ]

    return Method(init, plan, lambda state: state.variables, with_pixel=with_pixel)
