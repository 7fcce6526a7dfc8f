"""Boundary Expand: train the forget set towards an extra class, then cut that class off.

Setting: forget images; no labels, no retain data.

    (1)  f+(x) = [f(x), e(x) . w + b],  w and b ~ U(-1/sqrt(D), 1/sqrt(D)),  e(x)[D] the embedding
    (2)  minimise  mean CE(f+(x), K),  x in D_f,  in all weights, w and b
    (3)  f without w and b

BatchNorm runs in eval mode and its running statistics stay: those of batches of forget images alone would replace what
the network knows of all data. Its scales and shifts are trained like any weight.

Defaults (momentum, epochs and batch size as in common use of the method; the rate is ours):

    optimizer      "sgd"
    learning_rate  0.0001
    momentum       0.9
    weight_decay   0.0
    epochs         10
    batch_size     64
    augment        False

The usual rate is 1e-5, for large networks and sets of thousands. The result depends on rate times number of updates:
30 updates of a small CNN on a class of digits leave 95 % of the class at 1e-5, 2 % at 3e-5 (retained 99 %), none at
1e-4 (93 %), and ruin the network at 1e-3 (41 %): nothing holds the other classes.

Reference: Chen, Gao, Liu, Peng, Wang, CVPR 2023 (arXiv 2303.11570).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.fields import BatchSize, Epochs, Positive
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, descend
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.parts.passes import embedding_of
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "make", "widened"]

NEEDS = frozenset({"forget.x"})
State = Descent
"""Its parameters are `{"network": ..., "extra": {"kernel"[D], "bias"[]}}`."""


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of Boundary Expand."""

    learning_rate: Positive = 1e-4
    epochs: Epochs = 10
    batch_size: BatchSize = 64
    augment: bool = False
    """Use the training augmentation of the dataset."""


# Around the rates of the head, from those that change nothing to those that ruin a small network.
SPACE: Space = {"learning_rate": Range(1e-6, 1e-3, log=True), "epochs": Range(1, 20)}


def widened(logits: Array, embedding: Array, extra: PyTree) -> Array:
    """Equation 1: `[B,K+1]` of `logits[B,K]`, `embedding[B,D]` and the row of weights `extra`."""
    added = embedding @ extra["kernel"] + extra["bias"]
    return jnp.concatenate([logits, added[:, None]], axis=-1)


def make(config: Config, model: Model) -> Method:
    """Descent towards the extra class; `finish` leaves its weights behind."""
    tx = transformation(config)

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = Variables(params["network"], state.variables.stats)
        logits, features, _ = model.apply(variables, batch.x)
        wide = widened(logits, features["embedding"], params["extra"])
        targets = jnp.full(batch.mask.shape, logits.shape[-1])
        value = losses.cross_entropy(wide, targets, batch.mask)
        metrics = {"accuracy": losses.accuracy(wide, targets, batch.mask)}
        return value, (variables.stats, metrics)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del split
        key, draw_key = jax.random.split(key)
        embedding = embedding_of(model, variables, sources, "boundary_expand")
        bound = embedding.shape[-1] ** -0.5
        size = embedding.shape[-1] + 1
        drawn = jax.random.uniform(draw_key, (size,), embedding.dtype, -bound, bound)
        extra = {"kernel": drawn[:-1], "bias": drawn[-1]}
        wide = Variables({"network": variables.params, "extra": extra}, variables.stats)
        return descent.init(key, wide, tx)

    def plan(split: Split) -> list[Stage]:
        view = "augment" if config.augment else "eval"

        def feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.forget, config.batch_size, view=view)

        return [Stage("expand", descend(loss, tx), feed, config.epochs)]

    def finish(state: State) -> Variables:
        return state.variables._replace(params=state.variables.params["network"])

    return Method(init, plan, finish)
