"""FCS: make the forget set's outputs uniform, then contrast them with the retain set's, repairing in between.

Setting: forget images, retain images and labels; the labels of D_f are not read.

    (1)  one pass over D_f:  minimise  mean_x KL(u || softmax f_theta(x)),  u = 1/K for every class;  SGD of rate eta_1
    (2)  E epochs, of two passes each.  Contrast, for batches F of D_f and R of D_r side by side, until one set ends:
             S_ij = f_theta(x_i) . f_theta(x_j) / T,   x_i in F,  x_j in R,  no gradient through f_theta(x_j)
             minimise  the mean over all entries of  - log softmax_j(S_ij);   SGD of rate
             eta_min + (eta_2 - eta_min) (1 + cos(pi t / J)) / 2,   t contrast steps made,  J = E ceil(|D_f| / B)
    (3)  Repair, a pass over D_r:  minimise  mean CE(f_theta(x), y);   SGD of rate  eta_3 B / 64,  with weight decay

(1), (2) and (3) have an optimiser each, with a momentum that no other pass sees and that stays from epoch to epoch. All
passes are in train mode, so that the running statistics of BatchNorm follow both batches of (2), the forget batch
first. The gradient of (2) in S is proportional to  softmax_j(S_ij) - 1/|R|:  a forget image shall be equally like all
retain images. The logits are multiplied as they are, not as vectors of length 1. The divergence of (1) has the uniform
distribution on its left.

Defaults (the winning entry of the NeurIPS 2023 unlearning challenge, for faces and a ResNet-18):

    optimizer              "sgd"
    learning_rate          0.0003
    momentum               0.9
    weight_decay           0.01
    uniform_learning_rate  0.005
    repair_learning_rate   0.001
    final_learning_rate    0.000001
    temperature            1.15
    epochs                 8
    batch_size             256
    augment                False

`learning_rate` is eta_2, `weight_decay` that of (3) alone. B comes in twice: as the size of a batch, and in the rate of
(3), which is 0.004 by default. Where D_r has fewer batches than D_f the rate of (2) ends above eta_min.

Reference: the first place of the NeurIPS 2023 unlearning challenge, as it is measured in Cadet, Borovykh, Malekzadeh,
Ahmadi-Abhari, Haddadi, 2024 (Deep Unlearn, arXiv 2410.01276). Deep Unlearn searches rates, decay, T, E and B on every
dataset anew; what it found is not known.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Epochs, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import Optimizer, schedule, side_by_side, transformation
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "contrast", "make"]

NEEDS = frozenset({"forget.x", "retain.x", "retain.y"})
State = Descent

RATED_BATCH = 64
"""Examples in the batches that `repair_learning_rate` is for."""


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of FCS."""

    learning_rate: Positive = 3e-4
    """Of the contrast, at its beginning."""
    weight_decay: NonNegative = 1e-2
    """Of the repair; the other passes have none."""
    uniform_learning_rate: Positive = 5e-3
    """Of equation 1."""
    repair_learning_rate: Positive = 1e-3
    """Of the repair, for batches of 64; it grows with the batch size."""
    final_learning_rate: NonNegative = 1e-6
    """Eta_min of equation 2."""
    temperature: Positive = 1.15
    epochs: Epochs = 8
    batch_size: BatchSize = 256
    """Of all passes, and in the rate of the repair."""
    augment: bool = False
    """Use the training augmentation of the dataset in all passes."""


# As Deep Unlearn searches, which has T from 0 on.
SPACE: Space = {
    "learning_rate": Range(1e-5, 0.1, log=True),
    "uniform_learning_rate": Range(1e-5, 0.1, log=True),
    "repair_learning_rate": Range(1e-5, 0.1, log=True),
    "temperature": Range(0.1, 5.0),
    "epochs": Range(1, 10),
}


def contrast(
    forget: Array, retain: Array, rows: Array, columns: Array, temperature: float
) -> Array:
    """The loss of equation 2 of logits [F,K] and [R,K]; `rows[F]` and `columns[R]` are True for real examples."""
    similar = forget @ jax.lax.stop_gradient(retain).T / temperature
    kept = jnp.where(columns, similar, -jnp.inf)
    log_share = similar - jax.nn.logsumexp(kept, axis=1, keepdims=True)
    per_row = jnp.where(columns, log_share, 0).sum(1) / jnp.maximum(columns.sum(), 1)
    return -losses.masked_mean(per_row, rows)


@remembered
def falling(config: Config, total: int) -> optax.Schedule:
    """The rate of the contrast over J = `total` steps."""
    last = config.final_learning_rate
    above = schedule("cosine", config.learning_rate - last, steps_per_epoch=1, total=total)
    return lambda count: last + above(count)


def make(config: Config, model: Model) -> Method:
    """A pass towards uniform outputs, then contrast and repair in turn."""
    labelled = supervised(model)
    view = "augment" if config.augment else "eval"

    def optimizers(split: Split) -> tuple[optax.GradientTransformation, ...]:
        total = config.epochs * -(-len(split.forget) // config.batch_size)
        plain = replace(config, weight_decay=0.0)
        repair_rate = config.repair_learning_rate * config.batch_size / RATED_BATCH
        return side_by_side(
            transformation(replace(plain, learning_rate=config.uniform_learning_rate)),
            transformation(plain, falling(config, total)),
            transformation(replace(config, learning_rate=repair_rate)),
        )

    def uniform(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(variables, batch.x, train=True, key=key, mask=batch.mask)
        even = jnp.full(logits.shape, -np.log(logits.shape[1]), logits.dtype)
        return losses.divergence(even, jax.nn.log_softmax(logits), batch.mask), (stats, {})

    def contrasted(
        params: PyTree, state: State, batch: dict[str, Batch], key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        forget, retain = batch["forget"], batch["retain"]
        stats = state.variables.stats
        # Keys of their own: else both passes drop the same units of the same rows.
        keys = jax.random.split(key)

        def outputs(part: Batch, stats: PyTree, key: Key) -> tuple[Array, PyTree]:
            now = Variables(params, stats)
            logits, _, stats = model.apply(now, part.x, train=True, key=key, mask=part.mask)
            return logits, stats

        z_f, stats = outputs(forget, stats, keys[0])
        z_r, stats = outputs(retain, stats, keys[1])
        return contrast(z_f, z_r, forget.mask, retain.mask, config.temperature), (stats, {})

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        return descent.init(key, variables, optimizers(split)[0])

    def plan(split: Split) -> list[Stage]:
        rows = {"forget": split.forget, "retain": split.retain}

        def one(name: str, rng: np.random.Generator) -> Feed:
            return feeds.shuffled(rng, rows[name], config.batch_size, view=view)

        def both(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            drawn = {name: one(name, rng) for name in rows}
            shorter = min(len(feed.index) for feed in drawn.values())
            return {name: feeds.cut(feed, shorter) for name, feed in drawn.items()}

        first, second, third = optimizers(split)
        contrasting = descend(contrasted, second)
        repairing = descend(labelled, third)
        stages = [Stage("uniform", descend(uniform, first), lambda rng, state: one("forget", rng))]
        for epoch in range(config.epochs):
            stages.append(Stage(f"contrast {epoch}", contrasting, both))
            stages.append(
                Stage(f"repair {epoch}", repairing, lambda rng, state: one("retain", rng))
            )
        return stages

    return Method(init, plan, lambda state: state.variables)
