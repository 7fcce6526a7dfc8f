"""SFRon: now and then a masked ascent step on the forget set, between descent steps on the retain set.

Setting: forget and retain images and labels.

    (1)  F_S = mean over S of (grad CE(f_theta0(x), y))^2,   eval mode,  for S = D_f and S = D_r;
         fisher="batch":  the mean over the batches of S of (grad of a batch's mean CE)^2
    (2)  m = 1 where  (F_Df + 1e-15) / (F_Dr + 1e-15) >= threshold,  else 0;  every array, BatchNorm and biases too
    (3)  steps j = 0 .. N-1,  cos(b) = b (1 + cos(pi j / N)) / 2:   rate  cos(eta)  of both updates
         if j is a multiple of q:  ascend on a batch of D_f,
             l_i = CE of example i,   w_i ~ max(l_i, l_0)^-lam,  sum_i w_i = 1,  no gradient through w
             g = m grad( - cos(a) sum_i w_i l_i );   clip |g| to c;   a step of the optimiser along g
         then, in every step:  a step of the optimiser on the mean CE of a batch of D_r, without mask or clipping
    (4)  theta_{j+1} = beta theta' + (1 - beta) theta_j,   theta' what (3) has made of the slow weights theta_j

Both updates of (3) share one optimiser and one momentum, and run in train mode. The momentum and the decay of an ascent
step move the weights with m = 0 as well. D_f and D_r start again in a new order when they end. The w of (3) prefer the
examples that are fitted well; as they sum to 1, what is ascended is of the size of a mean.

Defaults (the release, for random examples, a tenth of CIFAR-10, and a ResNet-18; least_loss is ours):

    optimizer      "sgd"
    learning_rate  0.01
    momentum       0.9
    weight_decay   0.0005
    steps          1500
    forget_every   5
    ascent         25.0
    clip           7.0
    exponent       0.5
    least_loss     0.001
    threshold      1.0
    fisher         "example"
    beta           1.0
    batch_size     128
    augment        False

N is `steps`, q `forget_every`, a `ascent`, c `clip`, lam `exponent` and l_0 `least_loss`. The release's for a tenth of
TinyImageNet and a Swin: optimizer="adamw", weight_decay=0.05, learning_rate=2e-5, steps=500, forget_every=1,
ascent=500, exponent=0.6. No constants for class requests are known. Where nothing is forgotten, take a larger `ascent`
or a smaller `forget_every`.

Deviations: the release squares gradients of batches, and measures them on augmented images; here (1) has exact squares
of each example, on plain images, and fisher="batch" is the other form. With its l_0 = 0 an example without loss, whose
gradient is 0, takes all the weight of its batch. Its beta is 1, so that its slow weights, the part of the paper that is
to keep the geometry of the retain set, do nothing; a beta below 1 turns them on. It keeps masks in a file under a name
without the seed or the network, and reads it again for others; here a mask belongs to its run.

Reference: Huang, Cheng, Zheng, Wang, He, Li, Huang, NeurIPS 2024 (arXiv 2409.19732).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Count, Fraction, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, importance
from junlearn.parts.descent import Descent, Loss, supervised
from junlearn.parts.importance import Importance, Kind
from junlearn.parts.losses import margin_entropy
from junlearn.parts.optimizers import Optimizer, clip, move, rated, schedule
from junlearn.parts.pairs import PairedBatch, pull
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

__all__ = [
    "NEEDS",
    "PRESETS",
    "SPACE",
    "Config",
    "Salience",
    "State",
    "ascend",
    "make",
    "objective",
    "schedules",
    "shares",
]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent

LEAST = 1e-15
"""What (2) and the weights of (3) add, for divisions by 0."""


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of SFRon."""

    weight_decay: NonNegative = 5e-4
    steps: Count = 1500
    """Retain batches."""
    forget_every: Count = 5
    """The first of so many steps begins with a forget batch."""
    ascent: NonNegative = 25.0
    """Weight of the forget loss in the first step; it falls to 0."""
    clip: Positive | None = 7.0
    """Largest norm of the masked forget gradient; None: any."""
    exponent: NonNegative = 0.5
    """How much less an example counts that has a larger loss; 0: all count alike."""
    least_loss: NonNegative = 1e-3
    """Examples with less loss count like those that have so much."""
    threshold: NonNegative | None = 1.0
    """Of equation 2. None: no mask, and no passes that measure."""
    fisher: Kind = "example"
    """The squares of equation 1: of each example's gradient, or of those of batches, as released."""
    beta: Fraction = 1.0
    """Share of the new weights in equation 4; 1: no slow weights, as released."""
    batch_size: BatchSize = 128
    augment: bool = False
    """Use the training augmentation of the dataset in the steps; the mask is made without it."""


# ascent and forget_every reach from a tenth of CIFAR-10 to the release's for TinyImageNet.
SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "steps": Range(50, 3000, log=True),
    "ascent": Range(1.0, 500.0, log=True),
    "forget_every": Range(1, 20, log=True),
    "threshold": Range(0.1, 10.0, log=True),
}

PRESETS = {
    "sfron_released": Preset(
        "SFRon as released: squares of batch gradients in its mask, and no least loss",
        {"fisher": "batch", "least_loss": 0.0, "augment": True},
    ),
}
"""What the published numbers were made with, but for the augmented images in equation 1."""


class Salience(NamedTuple):
    """What the mask is made of: the `extra` of the state, which is empty where there is no mask."""

    forget: Importance
    retain: Importance
    mask: PyTree
    """bool, like the parameters."""


def shares(values: Array, mask: Array, exponent: float, least: float) -> Array:
    """The w [B] of equation 3 for losses `values[B]`, 0 in the rows outside of `mask`."""
    weights = jnp.where(mask, 1 / (jnp.maximum(values, least) ** exponent + LEAST), 0)
    return weights / jnp.where(mask.any(), weights.sum(), 1)


def schedules(config: Config) -> tuple[optax.Schedule, optax.Schedule]:
    """The rate and the weight of the forget loss of every step."""
    rate, weight = (
        schedule("cosine", peak, steps_per_epoch=1, total=config.steps)
        for peak in (config.learning_rate, config.ascent)
    )
    return rate, weight


@remembered
def objective(config: Config, model: Model) -> Loss:
    """What an ascent step minimises."""
    _, weight = schedules(config)

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(variables, batch.x, train=True, key=key, mask=batch.mask)
        values = margin_entropy(logits, batch.y)
        w = shares(jax.lax.stop_gradient(values), batch.mask, config.exponent, config.least_loss)
        total = (w * jnp.where(batch.mask, values, 0)).sum()
        return -weight(state.step).astype(total.dtype) * total, (stats, {})

    return loss


@remembered
def ascend(config: Config, model: Model) -> Callable[[State, Batch, Key], State]:
    """The masked and clipped update on a forget batch; it does not count as a step."""
    loss, tx = objective(config, model), rated(config)

    def update(state: State, batch: Batch, key: Key) -> State:
        params = state.variables.params
        _, gradient, stats = pull(loss, params, state, batch, key)
        if config.threshold is not None:
            gradient = jax.tree.map(lambda m, g: jnp.where(m, g, 0), state.extra.mask, gradient)
        if config.clip is not None:
            gradient = clip(gradient, config.clip)
        params, optimizer = move(tx, gradient, state.optimizer, params)
        return state._replace(variables=Variables(params, stats), optimizer=optimizer)

    return update


def make(config: Config, model: Model) -> Method:
    """Two passes that measure, a mask, and descent with an ascent step at times."""
    tx, labelled = rated(config), supervised(model)
    rate, _ = schedules(config)
    forgetting = ascend(config, model)
    threshold = config.threshold or 0.0

    def observed(state: State, name: str, batch: Batch) -> State:
        salience: Salience = state.extra
        seen = importance.observe(
            model,
            state.variables,
            getattr(salience, name),
            batch,
            loss="cross_entropy",
            kind=config.fisher,
            power=2,
        )
        return state._replace(extra=salience._replace(**{name: seen}))

    def measure_forget(state: State, batch: Batch) -> tuple[State, Metrics]:
        return observed(state, "forget", batch), {}

    def measure_retain(state: State, batch: Batch) -> tuple[State, Metrics]:
        return observed(state, "retain", batch), {}

    def choose(state: State, batch: Batch) -> tuple[State, Metrics]:
        def leaf(f: Array, r: Array) -> Array:
            return (f + LEAST) / (r + LEAST) >= threshold  # (2)

        salience: Salience = state.extra
        mask = jax.tree.map(leaf, salience.forget.mean(), salience.retain.mean())
        return state._replace(extra=salience._replace(mask=mask)), {}

    def step(state: State, batch: PairedBatch) -> tuple[State, Metrics]:
        keys = jax.random.split(jax.random.fold_in(state.key, state.step))
        slow = state.variables.params
        now = rate(state.step).astype(state.optimizer.rate.dtype)
        state = state._replace(optimizer=state.optimizer._replace(rate=now))
        state = jax.lax.cond(
            batch["forget"].mask.any(),
            forgetting,
            lambda state, batch, key: state,
            state,
            batch["forget"],
            keys[0],
        )
        params = state.variables.params
        value, gradient, stats = pull(labelled, params, state, batch["retain"], keys[1])
        params, optimizer = move(tx, gradient, state.optimizer, params)
        if config.beta < 1:
            params = jax.tree.map(
                lambda new, old: config.beta * new + (1 - config.beta) * old, params, slow
            )  # (4)
        after = state._replace(
            variables=Variables(params, stats), optimizer=optimizer, step=state.step + 1
        )
        return after, {"retain_loss": value}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        extra: Salience | tuple[()] = ()
        if config.threshold is not None:
            params = variables.params
            mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
            extra = Salience(importance.empty(params), importance.empty(params), mask)
        return descent.init(key, variables, tx, extra=extra)

    def plan(split: Split) -> list[Stage]:
        view = "augment" if config.augment else "eval"

        def all_of(rows: np.ndarray) -> Callable[[np.random.Generator, State], Feed]:
            return lambda rng, state: feeds.shuffled(rng, rows, config.batch_size)

        def feed(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            every = config.forget_every
            retain = feeds.cycled(rng, split.retain, config.batch_size, config.steps, view=view)
            asked = -(-config.steps // every)
            ahead = feeds.cycled(rng, split.forget, config.batch_size, asked, view=view)
            # The other steps have forget batches without rows.
            index, mask = (
                np.repeat(rows, every, axis=0)[: config.steps] for rows in (ahead.index, ahead.mask)
            )
            turn = np.arange(config.steps) % every == 0
            return {
                "retain": retain,
                "forget": ahead._replace(index=index, mask=mask & turn[:, None]),
            }

        stages = [Stage("steps", step, feed)]
        if config.threshold is None:
            return stages
        return [
            Stage("forget set", measure_forget, all_of(split.forget)),
            Stage("retain set", measure_retain, all_of(split.retain)),
            Stage("mask", choose, lambda rng, state: feeds.dataless(1)),
            *stages,
        ]

    def idle(split: Split) -> str:
        return "beta = 0 keeps every weight as it was" if config.beta == 0 else ""

    return Method(init, plan, lambda state: state.variables, idle=idle)
