"""Unrolling SGD, single-gradient unlearning: add back the first-order effect of the forget examples on the weights.

Setting: forget images and labels, and the weights that the original's training began from; no retain data.

    (1)  SGD's path, unrolled to first order at theta_0: in each of m epochs x in D_f has moved the weights by
         -(eta / b) grad l(f_theta_0(x), y)
    (2)  G = (1/b) sum_{x in D_f} grad l(f_theta_0(x), y)       the sum over forget batches of their mean gradients
    (3)  theta_u = theta_T + eta m G

theta_0 are the weights before the phase in which D_f was seen, theta_T the original, b the batch size of training, l
the cross entropy. `anchor="original"` takes the gradient at theta_T instead, where theta_0 is not known: with m = 1,
one ascent step on D_f. A network with BatchNorm is in train mode, as it was on the path of (1): batches are normalised
by their own statistics (the running ones of theta_0 have seen nothing yet), which are dropped afterwards. Any other
network is in eval mode.

Defaults (eta, m and b describe the original's training, here as this project's plain SGD; not constants to search):

    anchor         "initial"
    learning_rate  0.01
    epochs_seen    10
    batch_size     128

Deviation: a last batch of fewer than b rows counts with its rows and not as a full batch, so that the result does not
depend on how the forget examples are dealt into batches (but for BatchNorm). Equation 1 is that of plain SGD: with
momentum mu the same sum is up to 1 / (1 - mu) times as large, and for Adam it does not hold. Running statistics of
BatchNorm stay theta_T's.

Reference: Thudi, Deza, Chandrasekaran, Papernot, EuroS&P 2022 (arXiv 2109.13398); without its training-time penalty.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from junlearn.fields import BatchSize, Count, Positive
from junlearn.parts import feeds, losses
from junlearn.parts.trees import zeros
from junlearn.types import (
    Array,
    Batch,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"forget.x", "forget.y"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the original was trained, and where the gradient is taken."""

    anchor: Literal["initial", "original"] = "initial"
    """theta_0: the weights that training began from, or the original's own."""
    learning_rate: Positive = 0.01
    """Eta, the rate of the original's training."""
    epochs_seen: Count = 10
    """m, the epochs of the original's training."""
    batch_size: BatchSize = 128
    """b, the batch size of the original's training."""


# Nothing: the fields say how the original was trained.
SPACE: Space = {}


class State(NamedTuple):
    """The weights stay as they are until `finish`."""

    variables: Variables
    anchor: Variables
    """theta_0."""
    total: PyTree
    """Equation 2 over the batches seen."""
    key: Key
    """Of dropout in train mode."""


def make(config: Config, model: Model) -> Method:
    """One accumulating stage, then one addition."""

    def accumulate(state: State, batch: Batch) -> tuple[State, Metrics]:
        def loss(params: PyTree) -> tuple[Array, Array]:
            variables = Variables(params, state.anchor.stats)
            # Known when the step is compiled: whether there is anything that only batches can normalise.
            train = bool(jax.tree.leaves(variables.stats))
            own_key = jax.random.fold_in(state.key, batch.index[0])
            logits, _, _ = model.apply(
                variables, batch.x, train=train, key=own_key, mask=batch.mask
            )
            mean = losses.cross_entropy(logits, batch.y, batch.mask)
            return mean * batch.mask.sum() / config.batch_size, mean

        gradient, mean = jax.grad(loss, has_aux=True)(state.anchor.params)
        total = jax.tree.map(jnp.add, state.total, gradient)
        return state._replace(total=total), {"loss": mean}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del sources, split
        return State(
            variables,
            jax.tree.map(jnp.array, variables),
            zeros(variables.params),
            key,
        )

    def with_initial(state: State, initial: Variables) -> State:
        return state._replace(anchor=jax.tree.map(jnp.array, initial))

    def plan(split: Split) -> list[Stage]:
        return [
            Stage(
                "gradients at the anchor",
                accumulate,
                lambda rng, state: feeds.sequential(split.forget, config.batch_size),
            )
        ]

    def finish(state: State) -> Variables:
        scale = config.learning_rate * config.epochs_seen
        params = jax.tree.map(
            lambda theta, total: theta + scale * total, state.variables.params, state.total
        )
        return state.variables._replace(params=params)

    return Method(init, plan, finish, with_initial if config.anchor == "initial" else None)
