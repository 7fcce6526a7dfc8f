"""Supervised training on the retain set: the recipe, its length, its optimiser and its stages.

Methods inherit `Recipe`, set their defaults, and say where the weights begin and which layers are trained.

`Corrective` is the recipe of Corrective Machine Unlearning (arXiv 2402.14015) for the end of a network:

    (C1)  f = Q after P:  Q the last k weight layers with their BatchNorm (k = -1: all of f), P what is before them
    (C2)  minimise  mean CE(f(x), y)  over D_r in the parameters of Q;  Q in train mode, P fixed and in eval mode, its
          running statistics too
    (C3)  step t = 0, 1, .. of N, w = floor(N / 100):
          rate  eta (t + 1) / (w + 1)  if t < w,  else  eta (1 - (t - w) / (1.25 N))

Deviations: the released code makes N + 1 steps (overshoot=True) and returns the weights of the best test accuracy
(keep="best_test"); its half precision is left out.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import optax

from junlearn.fields import BatchSize, Count, Epochs, Fraction, NonNegative, Positive
from junlearn.parts import descent, feeds
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import (
    Optimizer,
    ScheduleKind,
    cycled_momentum,
    only,
    schedule,
    transformation,
)
from junlearn.parts.selection import Keep, keeping
from junlearn.types import Feed, Key, Method, Model, Preset, Sources, Space, Split, Stage, Variables

__all__ = [
    "Corrective",
    "Length",
    "Recipe",
    "Supervised",
    "corrective",
    "fit",
    "length",
    "optimizer",
    "rate",
    "scheduled",
    "stages",
    "whole_and_rest",
]


@dataclass(frozen=True, kw_only=True)
class Recipe(Optimizer):
    """What supervised training has beside its data."""

    epochs: Epochs = 10
    steps: Count | None = None
    """Number of optimiser steps; it replaces `epochs`, and the last epoch is cut."""
    overshoot: bool = False
    """Make one step more than `steps` unless an epoch ends just there, as the release of Corrective Unlearning does."""
    batch_size: BatchSize = 128
    schedule: ScheduleKind = "constant"
    """`one_cycle` cycles the momentum of sgd too, from 0.95 to 0.85 and back; `warm_linear` is that of Corrective
    Unlearning, with a warm-up of its own; `epoch_cosine` changes the rate between epochs alone."""
    warmup_epochs: NonNegative = 0.0
    milestones: tuple[int, ...] = ()
    """Epochs (from 0) at whose start a `multistep` schedule multiplies the rate by `decay`."""
    decay: Positive = 0.2
    augment: bool = False
    """Use the training augmentation of the dataset."""
    keep: Keep = "last"
    """The weights to return: the last, or the best after any epoch. `best_test` reads test.x and test.y as the released
    rule of Corrective Unlearning does, and test figures are then not independent of the choice; `best_validation`
    reads a validation set."""


@dataclass(frozen=True, kw_only=True)
class Supervised(Recipe):
    """A recipe of training on labels."""

    label_smoothing: Fraction = 0.0
    """Share of the target that is spread over all classes."""


@dataclass(frozen=True, kw_only=True)
class Corrective(Supervised):
    """The recipe of Corrective Machine Unlearning, for the last layers of a network."""

    learning_rate: Positive = 0.025
    weight_decay: NonNegative = 5e-4
    steps: Count | None = 1000
    """Number of optimiser steps; it replaces `epochs`, and the last epoch is cut. None: go by `epochs`."""
    batch_size: BatchSize = 512
    schedule: ScheduleKind = "warm_linear"
    augment: bool = True
    """Use the training augmentation of the dataset."""
    k: int = -1
    """How many weight layers at the end are trained, as `Model.depths` counts them; -1: all."""


RELEASED = {
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 512,
    "schedule": "warm_linear",
    "augment": True,
    "keep": "best_test",
    "overshoot": True,
    "learning_rate": 0.025,
    "steps": 1000,
}
"""The training of the corrective unlearning benchmark, by the defaults of its released code."""


def corrective(method: str, space: Space | None = None, **fields: Any) -> Preset:
    """A method as in that benchmark: its training, and `fields`. `space` is as in `Preset`."""
    summary = f"{method} as in the corrective unlearning benchmark (arXiv 2402.14015)"
    return Preset(summary, RELEASED | fields, space)


class Length(NamedTuple):
    """Numbers of steps."""

    epoch: int
    total: int
    """What the schedule runs over."""
    made: int
    """What is really done."""


def length(config: Recipe, rows: int) -> Length:
    """How long training on `rows` examples is."""
    epoch = max(-(-rows // config.batch_size), 1)
    total = config.steps or config.epochs * epoch
    return Length(epoch, total, total + int(config.overshoot and total % epoch > 0))


def scheduled(config: Recipe) -> bool:
    """Whether the rate changes, so that the optimiser depends on the number of steps."""
    return config.schedule != "constant" or bool(config.warmup_epochs)


def optimizer(config: Recipe, rows: int) -> optax.GradientTransformation:
    """The optimiser of the recipe with its schedule."""
    if not scheduled(config):
        return transformation(config)
    cycled = config.schedule == "one_cycle" and config.optimizer == "sgd"
    momentum = cycled_momentum(length(config, rows).total) if cycled else None
    return transformation(config, rate(config, rows), momentum)


def rate(config: Recipe, rows: int) -> optax.Schedule:
    """The learning rate of every step on `rows` examples."""
    epoch, total, _ = length(config, rows)
    return schedule(
        config.schedule,
        config.learning_rate,
        steps_per_epoch=epoch,
        total=total,
        warmup_epochs=config.warmup_epochs,
        milestones=config.milestones,
        decay=config.decay,
    )


def stages(
    config: Recipe,
    name: str,
    step: Callable,
    feed: Callable[[np.random.Generator, Descent], Feed],
    rows: int,
) -> list[Stage]:
    """Whole epochs of `feed`, which has `rows` examples, and where `steps` asks for it a part of one more."""
    epoch, _, made = length(config, rows)
    return whole_and_rest(name, step, feed, made, epoch)


def whole_and_rest(
    name: str,
    step: Callable,
    feed: Callable[[np.random.Generator, Any], Feed],
    steps: int,
    epoch: int,
) -> list[Stage]:
    """Just `steps` steps of a feed of `epoch` batches: whole epochs, and a part of one more where they do not fit."""
    whole, rest = divmod(steps, epoch)
    plan = [Stage(name, step, feed, whole)] if whole else []
    if rest:
        plan.append(
            Stage(f"{name}, cut", step, lambda rng, state: feeds.cut(feed(rng, state), rest))
        )
    return plan


def fit(
    config: Supervised,
    model: Model,
    name: str,
    begin: Callable[[Key, Variables, Sources], Variables],
    layers: Collection[str] | None = None,
    penalty: Callable[[optax.GradientTransformation, int], optax.GradientTransformation]
    | None = None,
) -> Method:
    """Minimise the mean cross entropy over D_r from `begin(key, variables, sources)`, in a stage called `name`.

    Only `layers` are trained and in train mode, all others stay as they are, in eval mode; None: the whole network.
    `penalty(tx, rows)`: the optimiser `tx` for so many examples with a penalty on the weights.
    """
    trained = True if layers is None else layers
    loss = supervised(model, train=trained, smoothing=config.label_smoothing)
    view = "augment" if config.augment else "eval"

    def transform(split: Split) -> optax.GradientTransformation:
        tx = optimizer(config, len(split.retain))
        if penalty is not None:
            tx = penalty(tx, len(split.retain))
        return tx if layers is None else only(tx, layers)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> Descent:
        return descent.init(key, begin(key, variables, sources), transform(split))

    def plan(split: Split) -> list[Stage]:
        def feed(rng: np.random.Generator, state: Descent) -> Feed:
            return feeds.shuffled(rng, split.retain, config.batch_size, view=view)

        return stages(config, name, descend(loss, transform(split)), feed, len(split.retain))

    method = Method(init, plan, lambda state: state.variables)
    return keeping(method, model, config.keep, config.batch_size)
