"""NegGrad: gradient ascent on the forget set.

Setting: forget images and labels; no retain data.

    (1)  theta <- theta + eta grad mean CE(f_theta(x), y),  x in D_f

The loss has no upper bound, so the network is soon destroyed: few steps, a small rate, and `stop_at_chance`, which ends
the run as soon as the accuracy on D_f is at most 1/K, or `stop_below`, an accuracy of your own.

Defaults (ours, no paper fixes them):

    optimizer       "sgd"
    learning_rate   0.001
    momentum        0.9
    weight_decay    0.0
    epochs          5
    batch_size      64
    milestones      ()
    decay           0.5
    train_mode      False
    stop_at_chance  False
    stop_below      None
    check_every     None

BatchNorm runs in eval mode: with the statistics of forget batches in it, the network would be lost for the retain
data before a weight has moved.

Variant: in SCAR (ECCV 2024, arXiv 2404.12922)  learning_rate=0.0005, epochs=30, batch_size=1024, milestones=(25, 40),
train_mode=True, stop_below=0.01 (class requests; else the original's test accuracy - 0.015). Forget batches are drawn
in a new order in every epoch here, and in the stored one there.

Reference: Golatkar, Achille, Soatto, CVPR 2020 (arXiv 1911.04933), as a baseline.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import optax

from junlearn.fields import BatchSize, Count, Epochs, Fraction, Positive, Whole
from junlearn.parts import descent, feeds
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import Optimizer, multistep
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"forget.x", "forget.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of NegGrad."""

    learning_rate: Positive = 1e-3
    epochs: Epochs = 5
    batch_size: BatchSize = 64
    milestones: tuple[Whole, ...] = ()
    """Epochs, from 0, at whose start the rate is multiplied by `decay`."""
    decay: Positive = 0.5
    train_mode: bool = False
    """BatchNorm uses the statistics of the forget batches, and its running ones follow them."""
    stop_at_chance: bool = False
    """End as soon as the accuracy on the forget set is at most 1/K."""
    stop_below: Fraction | None = None
    """End as soon as the accuracy on the forget set is less than this."""
    check_every: Count | None = None
    """Steps between two looks at that accuracy; None: once an epoch."""


# The largest of these destroy a network.
SPACE: Space = {"learning_rate": Range(1e-5, 1e-2, log=True), "epochs": Range(1, 20)}


def make(config: Config, model: Model) -> Method:
    """Gradient ascent on the cross entropy of the forget set."""

    def optimizer(split: Split) -> optax.GradientTransformation:
        steps = -(-len(split.forget) // config.batch_size)
        return multistep(config, config.milestones, config.decay, steps)

    entropy = supervised(model, train=config.train_mode)

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        value, extra = entropy(params, state, batch, key)
        return -value, extra

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        chance = jnp.float32(1 / model.num_classes(variables, sources))
        return descent.init(key, variables, optimizer(split), extra=chance)

    def plan(split: Split) -> list[Stage]:
        def forgotten(state: State, evaluate: Callable[..., dict[str, float]]) -> bool:
            accuracy = evaluate(state.variables, split.forget)["accuracy"]
            at_chance = config.stop_at_chance and accuracy <= float(state.extra)
            return at_chance or (config.stop_below is not None and accuracy < config.stop_below)

        stops = config.stop_at_chance or config.stop_below is not None

        return [
            Stage(
                "ascend",
                descend(loss, optimizer(split)),
                lambda rng, state: feeds.shuffled(rng, split.forget, config.batch_size),
                config.epochs,
                until=forgotten if stops else None,
                check_every=config.check_every,
            )
        ]

    return Method(init, plan, lambda state: state.variables)
