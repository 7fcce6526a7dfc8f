"""NegGrad: gradient ascent on the forget set.

Setting: forget images and labels; no retain data.

    (1)  theta <- theta + eta grad mean CE(f_theta(x), y),  x in D_f

The loss has no upper bound, so the network is soon destroyed: few steps, a small rate, and `stop_at_chance`, which ends
the run as soon as the accuracy on D_f is at most 1/K.

Defaults (ours, no paper fixes them):

    optimizer       "sgd"
    learning_rate   0.001
    momentum        0.9
    weight_decay    0.0
    epochs          5
    batch_size      64
    stop_at_chance  False
    check_every     None

BatchNorm runs in eval mode: with the statistics of forget batches in it, the network would be lost for the retain
data before a weight has moved. Reference: Golatkar, Achille, Soatto, CVPR 2020 (arXiv 1911.04933), as a baseline.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp

from junlearn import feeds, losses
from junlearn.descent import Descent, descend, start
from junlearn.fields import Count, Positive
from junlearn.optimizers import Optimizer, transformation
from junlearn.types import (
    Array,
    Batch,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Sources,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "Config", "State", "make"]

NEEDS = frozenset({"forget.x", "forget.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of NegGrad."""

    learning_rate: Positive = 1e-3
    epochs: Count = 5
    batch_size: Count = 64
    stop_at_chance: bool = False
    """End as soon as the accuracy on the forget set is at most 1/K."""
    check_every: Count | None = None
    """Steps between two looks at that accuracy; None: once an epoch."""


def make(config: Config, model: Model) -> Method:
    """Gradient ascent on the cross entropy of the forget set."""
    tx = transformation(config)

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        del key
        stats = state.variables.stats
        logits, _, _ = model.apply(Variables(params, stats), batch.x)
        metrics = {"accuracy": losses.accuracy(logits, batch.y, batch.mask)}
        return -losses.cross_entropy(logits, batch.y, batch.mask), (stats, metrics)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del split
        chance = jnp.float32(1 / model.num_classes(variables, sources))
        return start(key, variables, tx, extra=chance)

    def plan(split: Split) -> list[Stage]:
        def at_chance(state: State, evaluate: Callable[..., dict[str, float]]) -> bool:
            return evaluate(state.variables, split.forget)["accuracy"] <= float(state.extra)

        return [
            Stage(
                "ascend",
                descend(loss, tx),
                lambda rng, state: feeds.shuffled(rng, split.forget, config.batch_size),
                config.epochs,
                until=at_chance if config.stop_at_chance else None,
                check_every=config.check_every,
            )
        ]

    return Method(init, plan, lambda state: state.variables)
