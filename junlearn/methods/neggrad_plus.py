"""NegGrad+: descend on the retain set and ascend on the forget set in the same step.

Setting: forget and retain images and labels.

    (1)  minimise  beta CE(D_r batch) - (1 - beta) CE(D_f batch)

An epoch is one pass over D_r; D_f is cycled beside it. BatchNorm runs in train mode, each batch with its own
statistics; the running statistics follow the retain batches only, so that the forget set leaves no trace in them.

Defaults (the rate and the epochs are ours):

    optimizer      "sgd"
    learning_rate  0.001
    momentum       0.9
    weight_decay   0.0
    beta           0.95
    epochs         5
    batch_size     64
    augment        False

Reference: Kurmanji, Triantafillou, Hayes, Triantafillou, NeurIPS 2023 (SCRUB, arXiv 2302.09880), as a baseline.
"""

from dataclasses import dataclass

import jax
import numpy as np

from junlearn.fields import BatchSize, Epochs, Fraction, Positive
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, descend
from junlearn.parts.optimizers import Optimizer, transformation
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of NegGrad+."""

    beta: Fraction = 0.95
    """Weight of the retain loss; 1 is fine-tuning, 0 is ascent alone."""
    learning_rate: Positive = 1e-3
    epochs: Epochs = 5
    batch_size: BatchSize = 64
    augment: bool = False
    """Use the training augmentation of the dataset."""


SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "beta": Range(0.5, 1.0),
    "epochs": Range(1, 20),
}


def make(config: Config, model: Model) -> Method:
    """Joint descent on the retain set and ascent on the forget set."""
    tx = transformation(config)
    view = "augment" if config.augment else "eval"

    def loss(
        params: PyTree, state: State, batch: dict[str, Batch], key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = Variables(params, state.variables.stats)

        # Keys of their own: else both passes drop the same units of the same rows.
        retain_key, forget_key = jax.random.split(key)

        def entropy(part: Batch, key: Key) -> tuple[Array, PyTree]:
            logits, _, stats = model.apply(variables, part.x, train=True, key=key, mask=part.mask)
            return losses.cross_entropy(logits, part.y, part.mask), stats

        retain, stats = entropy(batch["retain"], retain_key)
        forget, _ = entropy(batch["forget"], forget_key)
        value = config.beta * retain - (1 - config.beta) * forget
        return value, (stats, {"retain_loss": retain, "forget_loss": forget})

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del sources, split
        return descent.init(key, variables, tx)

    def plan(split: Split) -> list[Stage]:
        def feed(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            del state
            sets = {"retain": split.retain, "forget": split.forget}
            return feeds.paired(rng, sets, config.batch_size, leader="retain", view=view)

        return [Stage("joint", descend(loss, tx), feed, config.epochs)]

    return Method(init, plan, lambda state: state.variables)
