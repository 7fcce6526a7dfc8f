"""SSD, selective synaptic dampening: shrink the weights that matter to the forget set far more than to all data.

Setting: forget and retain images and labels; no training, one pass over the data.

    (1)  I_S = (1/|S|) sum_{x in S} (d CE(f_theta(x), y) / d theta)^2      importance="example": empirical Fisher
         I_S = (1/M) sum_b (d mean-CE of batch b / d theta)^2               importance="batch": as released
    (2)  selected where  I_f > alpha I_D   (strict);  D = D_r united with D_f
    (3)  theta <- theta min(lambda I_D / I_f, 1)  where selected, else unchanged

BatchNorm runs in eval mode, its scales and shifts are dampened like any weight, its running statistics stay.

Defaults (Foster, Schoepf, Brintrup, AAAI 2024, arXiv 2308.07707; D sorted by class with the forget set last, as
released):

    alpha       10.0
    dampening   1.0
    importance  "example"
    order       "class_sorted"
    batch_size  64

Deviation: the importance is the exact Fisher by default. The square of a batch's mean gradient is another quantity,
which depends on the batch size and on the order: a sorted D has batches of one class each. With the exact one
I_f / I_D <= |D| / |D_f| always, so alpha at or above that bound selects nothing: a class of ten needs alpha well
below 10.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn import feeds, losses
from junlearn.fields import Count, NonNegative
from junlearn.gradients import sum_of_powers
from junlearn.types import (
    Array,
    Batch,
    Feed,
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

__all__ = ["NEEDS", "Config", "Importance", "State", "dampen", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of SSD."""

    alpha: NonNegative = 10.0
    """Selection threshold on I_f / I_D."""
    dampening: NonNegative = 1.0
    """Lambda of equation 3."""
    importance: Literal["example", "batch"] = "example"
    order: Literal["class_sorted", "shuffled"] = "class_sorted"
    """Order of D in the pass over it; it matters for importance="batch" only."""
    batch_size: Count = 64


class Importance(NamedTuple):
    """A running sum over the rows (or batches) seen."""

    total: PyTree
    seen: Array
    """Examples, or batches."""

    def mean(self) -> PyTree:
        """Equation 1."""
        return jax.tree.map(lambda total: total / self.seen, self.total)


class State(NamedTuple):
    """The weights stay as they are until `finish`."""

    variables: Variables
    full: Importance
    forget: Importance
    order: Array
    """int32[N]: D in reading order."""


def dampen(params: PyTree, forget: PyTree, full: PyTree, alpha: float, dampening: float) -> PyTree:
    """Equations 2 and 3 on trees of one structure."""

    def leaf(theta: Array, i_f: Array, i_d: Array) -> Array:
        selected = i_f > alpha * i_d
        factor = jnp.minimum(dampening * i_d / jnp.where(selected, i_f, 1), 1)
        return jnp.where(selected, theta * factor, theta)

    return jax.tree.map(leaf, params, forget, full)


def make(config: Config, model: Model) -> Method:
    """Two accumulating stages, then one multiplication."""

    def observe(importance: Importance, variables: Variables, batch: Batch) -> Importance:
        def loss(params: PyTree, rows: tuple[Array, Array], mask: Array) -> Array:
            logits, _, _ = model.apply(Variables(params, variables.stats), rows[0])
            return losses.cross_entropy(logits, rows[1], mask)

        rows = (batch.x, batch.y)
        if config.importance == "example":
            squares = sum_of_powers(
                model,
                variables,
                batch.x,
                batch.mask,
                lambda logits: optax.losses.softmax_cross_entropy_with_integer_labels(
                    logits, batch.y
                )[None],
            )
            count = batch.mask.sum()
        else:
            squares = jax.tree.map(jnp.square, jax.grad(loss)(variables.params, rows, batch.mask))
            count = jnp.ones((), jnp.int32)
        total = jax.tree.map(jnp.add, importance.total, squares)
        return Importance(total, importance.seen + count)

    def observe_full(state: State, batch: Batch) -> tuple[State, Metrics]:
        full = observe(state.full, state.variables, batch)
        return state._replace(full=full), {}

    def observe_forget(state: State, batch: Batch) -> tuple[State, Metrics]:
        forget = observe(state.forget, state.variables, batch)
        return state._replace(forget=forget), {}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        if config.order == "class_sorted":
            labels = np.asarray(sources["train"].y)[split.retain]
            retain = split.retain[np.argsort(labels, kind="stable")]
            order = np.concatenate([retain, split.forget])
        else:
            everything = np.concatenate([split.retain, split.forget])
            order = np.asarray(jax.random.permutation(key, everything))

        def empty() -> Importance:
            return Importance(
                jax.tree.map(jnp.zeros_like, variables.params), jnp.zeros((), jnp.int32)
            )

        return State(variables, empty(), empty(), jnp.asarray(order, jnp.int32))

    def plan(split: Split) -> list[Stage]:
        def full_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(np.asarray(state.order), config.batch_size)

        def forget_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(split.forget, config.batch_size)

        return [
            Stage("importance of all data", observe_full, full_feed),
            Stage("importance of the forget set", observe_forget, forget_feed),
        ]

    def finish(state: State) -> Variables:
        params = dampen(
            state.variables.params,
            state.forget.mean(),
            state.full.mean(),
            config.alpha,
            config.dampening,
        )
        return state.variables._replace(params=params)

    return Method(init, plan, finish)
