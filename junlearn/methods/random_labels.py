"""Random labels (amnesiac): train on, with wrong labels on the forget set.

Setting: forget and retain images and labels.

    (1)  once per run:  y' ~ Uniform({0..K-1} minus {y}),  x in D_f
    (2)  minimise  mean CE  over  {(x, y') : D_f}  united with  {(x, y) : D_r},  BatchNorm in train mode

The forgotten class of a class request is the own label of all its examples, and so is the superclass of a sub-class
request, so "own label excluded" is the released rule of every scenario.

Defaults (as in SSD, arXiv 2308.07707, and JiT, arXiv 2402.01401):

    optimizer      "adam"
    learning_rate  0.0001
    momentum       0.9
    weight_decay   0.0
    epochs         3
    batch_size     128
    augment        False

Reference: Graves, Nagisetty, Ganesh, AAAI 2021 (amnesiac unlearning, arXiv 2010.10981).
"""

from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from junlearn import feeds
from junlearn.descent import Descent, descend, start, supervised
from junlearn.fields import Count, Positive
from junlearn.optimizers import Optimizer, transformation
from junlearn.types import Array, Key, Method, Model, Sources, Split, Stage, Variables

__all__ = ["NEEDS", "Config", "State", "make", "relabel"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of random relabelling."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4
    epochs: Count = 3
    batch_size: Count = 128
    augment: bool = False
    """Use the training augmentation of the dataset."""


def relabel(labels: Array, draws: Array) -> Array:
    """Equation 1: the `draws[N]`-th (in 0..K-2) of the classes other than `labels[N]`, in ascending order."""
    return draws + (draws >= labels)


def make(config: Config, model: Model) -> Method:
    """Supervised training on the whole set with the forget labels replaced once."""
    tx = transformation(config)
    step = descend(supervised(model, labels=lambda state, batch: state.extra[batch.index]), tx)
    view = "augment" if config.augment else "eval"

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        key, draw_key = jax.random.split(key)
        labels = sources["train"].y
        draws = jax.random.randint(
            draw_key,
            split.forget.shape,
            0,
            model.num_classes(variables, sources) - 1,
            dtype=labels.dtype,
        )
        targets = labels.at[split.forget].set(relabel(labels[split.forget], draws))
        return start(key, variables, tx, extra=targets)

    def plan(split: Split) -> list[Stage]:
        everything = np.concatenate([split.retain, split.forget])
        return [
            Stage(
                "relabelled",
                step,
                lambda rng, state: feeds.shuffled(rng, everything, config.batch_size, view=view),
                config.epochs,
            )
        ]

    return Method(init, plan, lambda state: state.variables)
