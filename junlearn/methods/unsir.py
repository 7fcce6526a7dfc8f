"""UNSIR: unlearn by training on images made to be misclassified, then repair.

Setting: a class or a sub-class request; retain images and labels. Forget images are not read, and their labels for
a sub-class request only, which does not say under which class its sub-classes stand.

    (1)  z_i ~ N(0, 1),  y_i the forgotten class (sub-class request: its superclass; several of them in turn)
    (2)  noise_steps times:  z <- Adam step on  (1/n) sum_i [ -CE(f(z_i), y_i) + l2 ||z_i||^2 ]     f frozen
    (3)  impair: one epoch of CE on  {copies of (z_i, y_i)}  united with  R,  shuffled
    (4)  repair: one epoch of CE on R

R is the first `per_class` training examples of every retained class (sub-class request: of every retained
fine class). Each phase starts its own optimiser. BatchNorm: eval mode in (2), train mode in (3) and (4).

Defaults (Tarun, Chundawat, Mandal, Kankanhalli, TNNLS 2023, arXiv 2111.08947, as run for SSD and JiT):

    optimizer            "adam"
    learning_rate        0.0001
    momentum             0.9
    weight_decay         0.0
    noise_count          32
    noise_steps          None
    noise_learning_rate  0.1
    l2                   0.1
    noise_used           "all"
    copies               80
    per_class            500
    impair_batch_size    32
    repair_batch_size    128

Deviations from the release: the gradients that the noise steps leave on the weights do not enter the impair phase, the
noise does not move BatchNorm's running statistics, and all images are used: the release takes the first C of them, C
the number of channels (`noise_used="released"`).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, NonNegative, Positive
from junlearn.parts import feeds, noise_images
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.noise_images import NoiseImages, Used
from junlearn.parts.optimizers import Optimizer, fresh, transformation
from junlearn.parts.passes import along_rows
from junlearn.types import (
    Array,
    Batch,
    Feed,
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

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make", "mix"]

NEEDS = frozenset({"forget.y", "retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of UNSIR; the optimiser is that of impair and repair."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4
    noise_count: Count = 32
    """Noise images."""
    noise_steps: Count | None = None
    """Steps of equation 2; None: 25 for a class request, 250 for a sub-class request."""
    noise_learning_rate: Positive = 0.1
    """Rate of Adam on the images."""
    l2: NonNegative = 0.1
    noise_used: Used = "all"
    copies: Count = 80
    """Copies of every noise image in the impair phase."""
    per_class: Count = 500
    """Retain examples of each class in R."""
    impair_batch_size: BatchSize = 32
    repair_batch_size: BatchSize = 128


SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-2, log=True),
    "noise_steps": Range(10, 250, log=True),
    "l2": Range(0.01, 1.0, log=True),
    "copies": Range(10, 160, log=True),
}

PRESETS = {
    "unsir_released": Preset(
        "UNSIR with the noise images that its code takes: as many as the images have channels",
        {"noise_used": "released"},
    ),
}
"""The released code, which differs from the paper."""


class State(NamedTuple):
    """The noise, the network and an optimiser state for each of its two phases."""

    noise: NoiseImages
    variables: Variables
    impair: PyTree
    repair: PyTree
    key: Key
    step: Array
    subset: Array
    """int32[]: R."""


def mix(noise: NoiseImages, batch: dict[str, Batch]) -> Batch:
    """One batch of the impair phase: each row is a retain example, a noise image, or padding (masked in both)."""
    retain, drawn = batch["retain"], noise_images.rows(noise, batch["noise"])
    chosen = along_rows(drawn.mask, retain.x)
    return Batch(
        jnp.where(chosen, drawn.x, retain.x),
        jnp.where(drawn.mask, drawn.y, retain.y),
        retain.index,
        retain.mask | drawn.mask,
    )


def make(config: Config, model: Model) -> Method:
    """Three stages: noise, impair, repair."""
    tx = transformation(config)
    noise_tx = optax.adam(config.noise_learning_rate)
    descent = descend(supervised(model), tx)

    def train(state: State, batch: Batch, optimizer: PyTree) -> tuple[Descent, Metrics]:
        return descent(Descent(state.variables, optimizer, state.key, state.step), batch)

    def noise(state: State, batch: Batch) -> tuple[State, Metrics]:
        del batch
        images, metrics = noise_images.update(
            model, noise_tx, state.variables, state.noise, maximise=True, l2=config.l2
        )
        return state._replace(noise=images), metrics

    def impair(state: State, batch: dict[str, Batch]) -> tuple[State, Metrics]:
        after, metrics = train(state, mix(state.noise, batch), state.impair)
        return state._replace(
            variables=after.variables, impair=after.optimizer, step=after.step
        ), metrics

    def repair(state: State, batch: Batch) -> tuple[State, Metrics]:
        after, metrics = train(state, batch, state.repair)
        return state._replace(
            variables=after.variables, repair=after.optimizer, step=after.step
        ), metrics

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        key, noise_key = jax.random.split(key)
        classes, groups = _request(sources, split)
        subset = split.retain[_rank(groups[split.retain]) < config.per_class]
        shape = model.example(sources).shape[1:]
        z = noise_images.draw(noise_key, config.noise_count, shape)
        return State(
            noise_images.init(z, np.resize(classes, config.noise_count), noise_tx),
            variables,
            fresh(tx, variables.params),
            fresh(tx, variables.params),
            key,
            jnp.zeros((), jnp.int32),
            jnp.asarray(subset.astype(np.int32)),
        )

    def plan(split: Split) -> list[Stage]:
        steps = config.noise_steps or (25 if split.classes else 250)

        def impair_feed(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            copied = noise_images.copies(state.noise, 1, config.copies, config.noise_used)
            subset = np.asarray(state.subset)
            slots = feeds.shuffled(
                rng, np.arange(copied.size + subset.size), config.impair_batch_size
            )
            drawn = slots.index < copied.size
            index = np.concatenate([copied, subset])[slots.index]
            # Where a row is the other's, the index is one that this feed may read.
            return {
                "noise": Feed(np.where(drawn, index, copied[0]), slots.mask & drawn),
                "retain": Feed(np.where(drawn, subset[0], index), slots.mask & ~drawn),
            }

        def repair_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, np.asarray(state.subset), config.repair_batch_size)

        return [
            Stage("noise", noise, lambda rng, state: feeds.dataless(steps)),
            Stage("impair", impair, impair_feed),
            Stage("repair", repair, repair_feed),
        ]

    return Method(init, plan, lambda state: state.variables)


def _request(sources: Sources, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The classes that the noise stands for, and the grouping of "train" that `per_class` counts in."""
    train = sources["train"]
    labels = np.asarray(train.y)
    if split.classes:
        return np.asarray(split.classes), labels
    if train.fine is not None:
        fine = np.asarray(train.fine)
        if not np.isin(fine[split.forget], fine[split.retain]).any():
            return np.unique(labels[split.forget]), fine
    raise ConfigError(
        "unsir makes noise for a class: the request must be for whole classes or sub-classes, not for single examples"
    )


def _rank(groups: np.ndarray) -> np.ndarray:
    """Every entry's place (from 0) among the entries of its group, in the order given."""
    order = np.argsort(groups, kind="stable")
    _, begins, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    rank = np.empty(groups.size, int)
    rank[order] = np.arange(groups.size) - np.repeat(begins, sizes)
    return rank
