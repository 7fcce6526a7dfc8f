"""AMUN: train on, with the nearest adversarial example of every forget image beside it.

Setting: forget and retain images and labels; with retain=False forget images and labels alone.

    (1)  of each (x, y) in D_f:  (x', y') = the nearest adversarial example of the original in eval mode and its class,
         by an L2 attack with the radius eps0, 2 eps0, 4 eps0, ..  (`junlearn.parts.adversarial` has the steps)
    (2)  minimise  mean CE,  BatchNorm in train mode, over
             D_r + D_f + {(x', y')}     mode="amun": D_f with its true labels
             D_r + {(x', y')}           mode="advonly";   retain=False: both without D_r

An image that the original takes for another class already is its own x'. One that has no x' after the last doubling is
left out of {(x', y')}. `amun/failures` is the number of those, `amun/distance` the mean |x' - x|_2 of the others, for
pixels in [0, 1]. The table of all x' - x is as large as the forget images in float32.

The forget images keep their true labels in (2). So what (2) does depends on the rate: search it, and see whether the
accuracy on D_f came down to that on the test set. At the rates of others D_f can stay remembered.

Defaults (of the release and its tuner; `doublings` is ours, more than an image of 64 x 64 x 3 is wide):

    optimizer      "sgd"
    learning_rate  0.01
    momentum       0.9
    weight_decay   0.0005
    mode           "amun"
    retain         True
    eps0           0.04
    steps          50
    doublings      12
    epochs         10
    decay          0.1
    decay_every    1
    batch_size     128
    augment        True

The release searches the rate in 0.1, 0.05, 0.01, 0.005, 1e-3, 1e-4 and 1e-5, and `decay_every` in 1, 5 and 10. Its
images are not normalised.

Deviations: in the release u is the gradient of the mean over the images that are not done, which the 1e-10 alone sees.
It doubles without end, so that an image with a gradient of 0 hangs it, and for Tiny-ImageNet it mixes up which image an
x' belongs to. Its variant that augments x' too is left out.

Reference: Ebrahimpour-Boroojeny et al., ICML 2025.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Count, Epochs, NonNegative, Positive, Whole
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, losses
from junlearn.parts.adversarial import nearest
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import Optimizer, multistep
from junlearn.parts.passes import along_rows, scatter_rows
from junlearn.types import (
    Array,
    Batch,
    Choice,
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

__all__ = ["NEEDS", "SPACE", "Config", "Neighbours", "State", "combine", "make", "needs"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of AMUN; the optimiser is that of (2)."""

    weight_decay: NonNegative = 5e-4
    mode: Literal["amun", "advonly"] = "amun"
    """Whether the forget images are trained on with their true labels, beside their neighbours."""
    retain: bool = True
    """Train on the retain set too; without it no retain.x and retain.y are read."""
    eps0: Positive = 0.04
    """First radius of the attack, for pixels in [0, 1]."""
    steps: Count = 50
    """Steps of the attack with each radius."""
    doublings: Whole = 12
    """How often the radius is doubled before an image is given up."""
    epochs: Epochs = 10
    decay: Positive = 0.1
    """The rate is multiplied by it"""
    decay_every: Count = 1
    """after every so many epochs."""
    batch_size: BatchSize = 128
    augment: bool = True
    """Use the training augmentation of the dataset on D_r and D_f; x' is never augmented."""


# The rates and the periods that the release searches.
SPACE: Space = {
    "learning_rate": Range(1e-5, 0.1, log=True),
    "decay_every": Choice((1, 5, 10)),
    "epochs": Range(1, 20),
}


def needs(config: Config) -> frozenset[str]:
    """What (2) reads."""
    return NEEDS if config.retain else frozenset({"forget.x", "forget.y"})


class Neighbours(NamedTuple):
    """What the attack finds, a row for each forget image in the order of the split, and its units."""

    shift: Array
    """float32[Nf,H,W,C]: x' - x, in pixels."""
    labels: Array
    """int32[Nf]: y'."""
    found: Array
    """bool[Nf]: False where there is none."""
    black: Array
    """float32[1,1,1,C]: the network's input at a black pixel,"""
    white: Array
    """and at a white one."""


def combine(table: Neighbours, batch: dict[str, Batch]) -> Batch:
    """One batch of (2): each row is an example of the data, a neighbour, or padding (masked in both)."""
    plain, beside = batch["data"], batch["neighbours"]
    assert beside.slot is not None
    moved = beside.x + (table.white - table.black) * table.shift[beside.slot]
    return Batch(
        jnp.where(along_rows(beside.mask, plain.x), moved, plain.x),
        jnp.where(beside.mask, table.labels[beside.slot], plain.y),
        plain.index,
        plain.mask | beside.mask,
    )


def make(config: Config, model: Model) -> Method:
    """A pass that fills a table of neighbours, then supervised training with them."""

    def plain_rows(split: Split) -> np.ndarray:
        parts = [split.retain] if config.retain else []
        return np.concatenate([*parts, split.forget if config.mode == "amun" else split.forget[:0]])

    def optimizer(split: Split) -> optax.GradientTransformation:
        steps = -(-(len(plain_rows(split)) + len(split.forget)) // config.batch_size)
        milestones = tuple(range(config.decay_every, config.epochs, config.decay_every))
        return multistep(config, milestones, config.decay, steps)

    def find(state: State, batch: Batch) -> tuple[State, Metrics]:
        table: Neighbours = state.extra
        got = nearest(
            *(model, state.variables, batch, table.black, table.white),
            eps0=config.eps0,
            steps=config.steps,
            doublings=config.doublings,
        )
        news = (got.shift, got.labels, got.found)
        shift, labels, found = (
            scatter_rows(old, batch.slot, batch.mask, new)  # type: ignore[arg-type]
            for old, new in zip(table[:3], news, strict=True)
        )
        state = state._replace(extra=Neighbours(shift, labels, found, table.black, table.white))
        share = losses.masked_mean(got.found.astype(got.shift.dtype), batch.mask)
        return state, {"found": share}

    @remembered
    def trainer(
        tx: optax.GradientTransformation,
    ) -> Callable[[State, dict[str, Batch]], tuple[State, Metrics]]:
        update = descend(supervised(model), tx)

        def step(state: State, batch: dict[str, Batch]) -> tuple[State, Metrics]:
            return update(state, combine(state.extra, batch))

        return step

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        count, shape = len(split.forget), model.example(sources).shape[1:]
        one = jnp.ones((*(1,) * len(shape), shape[-1]))
        labels = jnp.zeros(count, sources["train"].y.dtype)
        table = Neighbours(jnp.zeros((count, *shape)), labels, jnp.zeros(count, bool), 0 * one, one)
        return descent.init(key, variables, optimizer(split), extra=table)

    def with_pixel(state: State, black: Array, white: Array) -> State:
        return state._replace(extra=state.extra._replace(black=black, white=white))

    def plan(split: Split) -> list[Stage]:
        count, plain = len(split.forget), plain_rows(split)
        view = "augment" if config.augment else "eval"

        def once(rng: np.random.Generator, state: State) -> Feed:
            slots = feeds.sequential(np.arange(count), config.batch_size)
            return slots._replace(index=split.forget[slots.index], slot=slots.index)

        def mixed(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            drawn = feeds.shuffled(rng, np.arange(count + len(plain)), config.batch_size)
            beside = drawn.index < count
            slot = np.where(beside, drawn.index, 0)
            found = np.asarray(state.extra.found)[slot]
            # Where a row is the other's, the index is one that this feed may read.
            rows = np.append(plain, split.forget[0])
            index = rows[np.where(beside, -1, drawn.index - count)]
            return {
                "data": Feed(index, drawn.mask & ~beside, view=view),
                "neighbours": Feed(split.forget[slot], drawn.mask & beside & found, slot=slot),
            }

        return [
            Stage("nearest adversarial examples", find, once),
            Stage("train", trainer(optimizer(split)), mixed, config.epochs),
        ]

    def report(state: State) -> dict[str, Array]:
        table: Neighbours = state.extra
        distances = jnp.linalg.norm(table.shift.reshape(len(table.found), -1), axis=1)
        return {
            "amun/failures": (~table.found).sum(),
            "amun/distance": losses.masked_mean(distances, table.found),
        }

    return Method(init, plan, lambda state: state.variables, with_pixel=with_pixel, report=report)
