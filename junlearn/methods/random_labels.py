"""Random labels (amnesiac): train on, with wrong labels on the forget set.

Setting: forget and retain images and labels.

    (1)  once per run:  y' ~ Uniform({0..K-1} minus {y}),  x in D_f
    (2)  minimise  mean CE  over  {(x, y') : D_f}  united with  {(x, y) : D_r},  BatchNorm in train mode
    (3)  labels="fresh", in place of (1):  in every step  y' ~ Uniform  over the classes that are not forgotten, in a
         class request, and over all K, the own label too, in any other;  retain=False, in (2): D_f alone

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
    labels         "once"
    retain         True
    milestones     ()
    decay          0.5
    stop_below     None

Variant: in SCAR (ECCV 2024, arXiv 2404.12922)  optimizer="sgd", learning_rate=0.0005, epochs=30, batch_size=1024,
milestones=(25, 40), labels="fresh", retain=False, stop_below=0.01 (class requests; else the original's test accuracy
- 0.015). Forget batches are drawn in a new order in every epoch here, and in the stored one there.

Reference: Graves, Nagisetty, Ganesh, AAAI 2021 (amnesiac unlearning, arXiv 2010.10981).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Epochs, Fraction, Positive, Whole
from junlearn.memo import remembered
from junlearn.parts import descent, feeds
from junlearn.parts.descent import Descent, supervised, updater
from junlearn.parts.optimizers import Optimizer, multistep
from junlearn.parts.relabelling import drawn, relabel
from junlearn.parts.stopping import below
from junlearn.types import (
    Array,
    Batch,
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

__all__ = ["NEEDS", "SPACE", "Config", "Labels", "State", "draw", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of random relabelling."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4
    epochs: Epochs = 3
    batch_size: BatchSize = 128
    augment: bool = False
    """Use the training augmentation of the dataset."""
    labels: Literal["once", "fresh"] = "once"
    """"once": equation 1, one draw for the run; "fresh": equation 3, a draw in every step, which reads no forget.y
    (but for `stop_below`)."""
    retain: bool = True
    """Train on the retain set too; without it no retain.x and retain.y are read."""
    milestones: tuple[Whole, ...] = ()
    """Epochs, from 0, at whose start the rate is multiplied by `decay`."""
    decay: Positive = 0.5
    stop_below: Fraction | None = None
    """End after an epoch that leaves an accuracy on the forget set of less than this."""


SPACE: Space = {"learning_rate": Range(1e-5, 1e-2, log=True), "epochs": Range(1, 30, log=True)}


class Labels(NamedTuple):
    """What the forget set is trained towards."""

    targets: Array
    """int32[N]: the label of each training example; -1 where it is drawn in the step."""
    choices: Array
    """int32[]: the classes that equation 3 draws from."""


def draw(key: Key, index: Array, classes: Array) -> Array:
    """The labels of equation 3 for the examples `index[B]`, out of `classes`; each example has a draw of its own."""
    return classes[drawn(key, index, len(classes))]


def make(config: Config, model: Model) -> Method:
    """Supervised training on the whole set, or the forget set, with the forget labels replaced."""
    fresh = config.labels == "fresh"
    view = "augment" if config.augment else "eval"
    loss = supervised(model)

    def trained(split: Split) -> np.ndarray:
        return np.concatenate([split.retain, split.forget]) if config.retain else split.forget

    def optimizer(split: Split) -> optax.GradientTransformation:
        steps = -(-len(trained(split)) // config.batch_size)
        return multistep(config, config.milestones, config.decay, steps)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        key, draw_key = jax.random.split(key)
        targets = np.array(sources["train"].y)
        classes = model.num_classes(variables, sources)
        if fresh:
            targets[split.forget] = -1
        else:
            draws = jax.random.randint(
                draw_key, split.forget.shape, 0, classes - 1, dtype=targets.dtype
            )
            targets[split.forget] = relabel(targets[split.forget], np.asarray(draws))  # (1)
        choices = np.setdiff1d(np.arange(classes), split.classes)
        return descent.init(
            key,
            variables,
            optimizer(split),
            extra=Labels(jnp.asarray(targets), jnp.asarray(choices)),
        )

    @remembered
    def relabelled(
        tx: optax.GradientTransformation,
    ) -> Callable[[State, Batch], tuple[State, Metrics]]:
        update = updater(loss, tx)

        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            key = jax.random.fold_in(state.key, state.step)
            labels = state.extra.targets[batch.index]
            if fresh:
                key, draw_key = jax.random.split(key)
                drawn = draw(draw_key, batch.index, state.extra.choices)
                labels = jnp.where(labels < 0, drawn, labels)
            return update(state, batch._replace(y=labels), key)

        return step

    def plan(split: Split) -> list[Stage]:
        stop = config.stop_below
        return [
            Stage(
                "relabelled",
                relabelled(optimizer(split)),
                lambda rng, state: feeds.shuffled(
                    rng, trained(split), config.batch_size, view=view
                ),
                config.epochs,
                until=None if stop is None else below(split, lambda state: stop),
            )
        ]

    return Method(init, plan, lambda state: state.variables)
