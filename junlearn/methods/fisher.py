"""Fisher forgetting: add Gaussian noise, more of it where the retain data does not care.

Setting: retain images without labels; the forgotten classes of a class request are known from the request.

    (1)  F = (1/|D_r|) sum_{x in D_r} sum_y p_y(x) (d CE(f_theta(x), y) / d theta)^2      true Fisher diagonal
    (2)  v = min(1 / (F + 1e-8), 1e3), for the head min(v, 1e2);  v <- alpha v
    (3)  arrays with several axes: v <- mean of v over the input axis (second to last), broadcast back
    (4)  class request: the head's weights of the forgotten classes get mean 0 and v = 1e-4, and the head v <- 10 v
    (5)  arrays with one axis: v <- 10 v  (once, also in the head)
    (6)  theta <- mu + sqrt(v) N(0, 1)

The head is found by its place (last group of `Model.layers`, arrays with K outputs); the released code takes any array
whose first axis has length K. BatchNorm runs in eval mode, p is not differentiated.

Defaults (alpha as in SSD, arXiv 2308.07707):

    alpha       1e-06
    batch_size  16

Reference: Golatkar, Achille, Soatto, CVPR 2020 (arXiv 1911.04933). Cost: one forward
pass and K backward passes over the retain set.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from junlearn.compiler import jitted
from junlearn.fields import BatchSize, Positive
from junlearn.parts import feeds, layers
from junlearn.parts.gradients import sum_of_powers
from junlearn.parts.noise import draw
from junlearn.parts.passes import marks
from junlearn.parts.trees import zeros
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "make", "moments", "perturb"]

NEEDS = frozenset({"retain.x"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of Fisher forgetting."""

    alpha: Positive = 1e-6
    """Scale of the noise variance."""
    batch_size: BatchSize = 16


SPACE: Space = {"alpha": Range(1e-9, 1e-3, log=True)}


class State(NamedTuple):
    """The weights stay as they are until `finish`."""

    variables: Variables
    fisher: PyTree
    """Sum over the examples seen."""
    seen: Array
    """Number of those examples."""
    forgotten: Array
    """bool[K]: the classes of a class request; all False in any other scenario."""
    key: Key


def moments(
    params: PyTree, fisher: PyTree, forgotten: Array, alpha: float, head: str
) -> tuple[PyTree, PyTree]:
    """Equations 2 to 5: mean and variance of every weight before the draw. `head`: the last group of `params`."""
    by_class = forgotten.any()

    def leaf(
        path: tuple[jax.tree_util.DictKey, ...], theta: Array, f: Array
    ) -> tuple[Array, Array]:
        is_head = path[0].key == head and theta.shape[-1] == forgotten.shape[0]
        variance = jnp.minimum(1 / (f + 1e-8), 1e3)
        if is_head:
            variance = jnp.minimum(variance, 1e2)
        variance = alpha * variance
        if theta.ndim > 1:
            variance = jnp.broadcast_to(variance.mean(axis=-2, keepdims=True), theta.shape)
        mean = theta
        if is_head:
            column = (
                jnp.broadcast_to(forgotten, theta.shape) if theta.ndim == 1 else forgotten[None]
            )
            mean = jnp.where(column, 0.0, theta)
            variance = jnp.where(column, 1e-4, variance)
            if theta.ndim > 1:
                variance = jnp.where(by_class, 10 * variance, variance)
        if theta.ndim == 1:
            variance = 10 * variance
        return mean, variance

    pairs = jax.tree_util.tree_map_with_path(leaf, params, fisher)
    return (
        jax.tree.map(lambda _, pair: pair[0], params, pairs),
        jax.tree.map(lambda _, pair: pair[1], params, pairs),
    )


def perturb(mean: PyTree, variance: PyTree, noise: PyTree) -> PyTree:
    """Equation 6."""
    return jax.tree.map(lambda m, v, n: m + jnp.sqrt(v) * n, mean, variance, noise)


# At the top of the file and with `alpha` as an argument: a sweep over it compiles the draw once.
@partial(jitted, static_argnums=2)
def drawn(state: State, alpha: float, head: str) -> PyTree:
    """Equations 2 to 6, as one program: the parameters after the draw."""
    params = state.variables.params
    fisher = jax.tree.map(lambda total: total / state.seen, state.fisher)
    mean, variance = moments(params, fisher, state.forgotten, alpha, head)
    return perturb(mean, variance, draw(state.key, params))


def make(config: Config, model: Model) -> Method:
    """One accumulating stage, then one draw."""
    head = layers.head(model, "fisher")

    def observe(state: State, batch: Batch) -> tuple[State, Metrics]:
        def weighted(logits: Array) -> Array:
            """The K losses of every example, [K,B]."""
            log_p = jax.nn.log_softmax(logits)
            # p (d CE)^2 is the square of d (sqrt(p) CE) where p is held constant.
            return -(jnp.exp(0.5 * jax.lax.stop_gradient(log_p)) * log_p).T

        squares = sum_of_powers(model, state.variables, batch.x, batch.mask, weighted)
        return state._replace(
            fisher=jax.tree.map(jnp.add, state.fisher, squares),
            seen=state.seen + batch.mask.sum(),
        ), {}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        classes = model.num_classes(variables, sources)
        forgotten = marks(split.classes, classes)
        fisher = zeros(variables.params)
        return State(variables, fisher, jnp.zeros((), jnp.int32), forgotten, key)

    def plan(split: Split) -> list[Stage]:
        return [
            Stage(
                "Fisher information",
                observe,
                lambda rng, state: feeds.sequential(split.retain, config.batch_size),
            )
        ]

    def finish(state: State) -> Variables:
        return state.variables._replace(params=drawn(state, config.alpha, head))

    return Method(init, plan, finish)
