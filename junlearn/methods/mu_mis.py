"""MU-Mis: make the output of the own class insensitive to a forget image, and that of another class sensitive.

Setting: forget images and labels; no retain data.

    (1)  minimise  mean_x ( |d f_y(x) / dx|_2^2  -  |d f_c(x) / dx|_2^2 ),  x in D_f;
         c != y drawn uniformly for each example in every step
    (2)  with `stop_above`, after each epoch e:  s_e = mean over the epoch of |d f_c(x) / dx|_2;
         end if  s_e > min_{k<e} s_k  and  s_e > stop_above s_0

f are logits, and x is the input of the network as its view shows it. BatchNorm is in eval mode, so that no image sees
the others of its batch. Its running statistics stay, and its scale and shift are trained.

(1) is not bounded below: the second term grows as long as the run goes on. So the rate has to be small, and the number
of steps is a part of the method. (2) is the rule of the authors in our words: sensitivity to the other classes falls at
first, and the network is best when it has come back. Their share of s_0, their rate and their batch size are not known.
So (2) is off, and it is ours that it asks after epochs and takes means over them.

Defaults (the rate and the one epoch are those of a third-party library, whose momentum is not told; the rest is ours.
Search all of them):

    optimizer      "sgd"
    learning_rate  0.0001
    momentum       0.0
    weight_decay   0.0
    epochs         1
    batch_size     128
    stop_above     None
    augment        False

Deviations: the third-party code takes (1) in train mode, where the rows of a batch see each other.

Reference: Cheng et al. (arXiv 2402.15109).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.fields import BatchSize, Epochs, Momentum, Positive
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, Loss, updater
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.parts.passes import classes_of
from junlearn.parts.relabelling import drawn, relabel
from junlearn.types import (
    Array,
    Batch,
    Feed,
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "Watch", "make", "objective", "sensitivities"]

NEEDS = frozenset({"forget.x", "forget.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of MU-Mis."""

    learning_rate: Positive = 1e-4
    momentum: Momentum = 0.0
    epochs: Epochs = 1
    batch_size: BatchSize = 128
    stop_above: Positive | None = None
    """Equation 2: the share of s_0 at which the run ends, past the minimum. None: after `epochs`."""
    augment: bool = False
    """Use the training augmentation of the dataset."""


SPACE: Space = {"learning_rate": Range(1e-6, 1e-2, log=True), "epochs": Range(1, 20, log=True)}


class Watch(NamedTuple):
    """The sensitivities of equation 2."""

    first: Array
    """s_0; 0 before the first epoch has ended."""
    least: Array
    """The minimum over the epochs before the latest; infinite where there are none."""
    latest: Array
    """s_e of the latest epoch that has ended; infinite before the first one has."""
    total: Array
    """The sum over the rows of this epoch so far,"""
    seen: Array
    """int32[]: and their number,"""
    examples: Array
    """int32[]: of how many in an epoch."""

    def with_batch(self, mean: Array, rows: Array) -> "Watch":
        """After a batch of so many rows whose mean sensitivity this is."""
        total, seen = self.total + mean * rows, self.seen + rows
        ends, begins = seen == self.examples, jnp.isinf(self.latest)
        now = total / seen
        return Watch(
            jnp.where(ends & begins, now, self.first),
            jnp.where(ends, jnp.minimum(self.least, self.latest), self.least),
            jnp.where(ends, now, self.latest),
            jnp.where(ends, 0, total),
            jnp.where(ends, 0, seen),
            self.examples,
        )

    def recovered(self, share: float) -> bool:
        """Equation 2."""
        return float(self.latest) > max(float(self.least), share * float(self.first))


def sensitivities(
    model: Model, variables: Variables, x: Array, y: Array, other: Array
) -> tuple[Array, Array]:
    """|d f_y / dx|^2 and |d f_c / dx|^2 of each row, [B] each, for the classes `y` and `other`; in eval mode."""
    logits, pull = jax.vjp(lambda x: model.apply(variables, x)[0], x)

    def squared(labels: Array) -> Array:
        (gradient,) = pull(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype))
        return jnp.square(gradient).reshape(len(labels), -1).sum(axis=1)

    return squared(y), squared(other)


def objective(model: Model) -> Loss:
    """Equation 1; what has been drawn is c, int32[B]."""

    def loss(
        params: PyTree, state: State, batch: Batch, other: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = state.variables._replace(params=params)
        own, irrelevant = sensitivities(model, variables, batch.x, batch.y, other)
        metrics = {
            "own_sensitivity": losses.masked_mean(jnp.sqrt(own), batch.mask),
            "other_sensitivity": losses.masked_mean(jnp.sqrt(irrelevant), batch.mask),
        }
        value = losses.masked_mean(own - irrelevant, batch.mask)
        return value, (state.variables.stats, metrics)

    return loss


def make(config: Config, model: Model) -> Method:
    """One stage on the forget set."""
    tx = transformation(config)
    update = updater(objective(model), tx)
    view = "augment" if config.augment else "eval"

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        classes = classes_of(model, state.variables, batch.x)
        key = jax.random.fold_in(state.key, state.step)
        other = relabel(batch.y, drawn(key, batch.index, classes - 1))
        after, metrics = update(state, batch, other)
        watch = state.extra.with_batch(
            metrics["other_sensitivity"], batch.mask.sum(dtype=jnp.int32)
        )
        return after._replace(extra=watch), metrics

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        first, least, latest, total = (jnp.asarray(v, float) for v in (0.0, np.inf, np.inf, 0.0))
        seen, examples = jnp.int32(0), jnp.int32(len(split.forget))
        watch = Watch(first, least, latest, total, seen, examples)
        return descent.init(key, variables, tx, extra=watch)

    def plan(split: Split) -> list[Stage]:
        share = config.stop_above

        def feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.forget, config.batch_size, view=view)

        until = None if share is None else lambda state, evaluate: state.extra.recovered(share)
        return [Stage("sensitivities", step, feed, config.epochs, until=until)]

    return Method(init, plan, lambda state: state.variables)
