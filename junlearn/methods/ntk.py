"""NTK scrubbing: the step that the linearised network would have made, had it been trained without the forget set.

Setting: forget and retain images and labels; small networks and few images, as the Jacobian is held densely.

    (1)  J(S): the gradient of every logit of every x in S, a row each [nK,P];  e(S) = softmax(f(x)) - onehot(y)  [nK]
    (2)  w(S) = -J^T (J J^T + n weight_decay I)^-1 e
    (3)  delta = w(D_r) - w(D_r united with D_f);  r = -w(D_r);  c = cos(delta, r)
    (4)  scale = 1 + 2 cos(arccos c) |r| / |delta|               where c >= 0
                 1 + 2 sin(arccos c - pi / 2) |r| / |delta|      where c < 0
    (5)  theta <- theta + scale delta

The network is in eval mode, its BatchNorm statistics stay. The systems of (2) are solved by a Cholesky factor, in
float64 where JAX has it enabled and otherwise in float32 with refined solutions; there is no inverse.

Defaults (as in SSD, arXiv 2308.07707):

    weight_decay  0.1
    retain_count  None
    batch_size    16
    max_entries   268435456

Reference: Golatkar, Achille, Soatto, ECCV 2020 (arXiv 2003.02960).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from junlearn.compiler import jitted
from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Positive
from junlearn.parts import feeds, gradients
from junlearn.parts.passes import scatter_rows
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

__all__ = ["NEEDS", "SPACE", "Config", "Linearised", "State", "make", "scrub", "solution"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})

REFINEMENTS = 2
"""Corrections of a solution in float32."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of NTK scrubbing."""

    weight_decay: Positive = 0.1
    retain_count: Count | None = None
    """Retain examples that stand for D_r, drawn once; None: all of it."""
    batch_size: BatchSize = 16
    """Examples whose Jacobian is computed in a step."""
    max_entries: Count = 2**28
    """Most numbers that the Jacobian, or the matrix of equation 2, may hold: 1 GiB in float32."""


SPACE: Space = {"weight_decay": Range(1e-3, 10.0, log=True)}


class Linearised(NamedTuple):
    """The rows of equation 1 on a set of n examples; those that are not seen yet are 0."""

    jacobian: Array
    """float[n,K,P]."""
    error: Array
    """float[n,K]."""
    seen: Array
    """How many rows are filled."""

    def rows(self) -> tuple[Array, Array]:
        """J [nK,P] and e [nK]."""
        return self.jacobian.reshape(-1, self.jacobian.shape[-1]), self.error.reshape(-1)


class State(NamedTuple):
    """The weights stay as they are until `finish`."""

    variables: Variables
    retain: Linearised
    forget: Linearised
    order: Array
    """int32[n]: the retain examples, in reading order."""


def solution(jacobian: Array, error: Array, ridge: float) -> Array:
    """Equation 2: `-J^T (J J^T + ridge I)^-1 e` of `J[M,P]` and `e[M]`."""
    with jax.default_matmul_precision("highest"):
        kernel = jacobian @ jacobian.T + ridge * jnp.eye(len(error), dtype=error.dtype)
        factor = jax.scipy.linalg.cho_factor(kernel)
        x = jax.scipy.linalg.cho_solve(factor, error)
        for _ in range(REFINEMENTS if error.dtype == jnp.float32 else 0):
            x += jax.scipy.linalg.cho_solve(factor, error - kernel @ x)
        return -(x @ jacobian)


def scrub(retain: Array, everything: Array) -> tuple[Array, Array, Array]:
    """Equations 3 and 4 from w(D_r) and w(D), both [P]: delta, c and the scale; a delta of 0 has c = 0, scale 1."""
    delta = retain - everything
    length, distance = jnp.linalg.norm(delta), jnp.linalg.norm(retain)
    product = length * distance
    cosine = jnp.where(product > 0, -(delta @ retain) / jnp.where(product > 0, product, 1), 0)
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    turn = jnp.where(cosine < 0, jnp.sin(angle - jnp.pi / 2), jnp.cos(angle))
    ratio = jnp.where(length > 0, distance / jnp.where(length > 0, length, 1), 0)
    return delta, cosine, jnp.where(product > 0, 1 + 2 * turn * ratio, 1)


def make(config: Config, model: Model) -> Method:
    """Two stages that fill the Jacobian, then three linear solves."""

    def observe(part: Linearised, variables: Variables, batch: Batch) -> Linearised:
        def logits(params: PyTree, x: Array) -> Array:
            return model.apply(Variables(params, variables.stats), x)[0]

        jacobian = gradients.jacobians(logits, variables.params, batch.x)
        output = logits(variables.params, batch.x)
        error = jax.nn.softmax(output) - jax.nn.one_hot(
            batch.y, output.shape[1], dtype=output.dtype
        )
        place = part.seen + jnp.cumsum(batch.mask) - 1
        return Linearised(
            scatter_rows(part.jacobian, place, batch.mask, jacobian),
            scatter_rows(part.error, place, batch.mask, error),
            part.seen + batch.mask.sum(),
        )

    def observe_retain(state: State, batch: Batch) -> tuple[State, Metrics]:
        return state._replace(retain=observe(state.retain, state.variables, batch)), {}

    def observe_forget(state: State, batch: Batch) -> tuple[State, Metrics]:
        return state._replace(forget=observe(state.forget, state.variables, batch)), {}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        size = sum(leaf.size for leaf in jax.tree.leaves(variables.params))
        classes = model.num_classes(variables, sources)
        retain = np.asarray(split.retain, np.int32)
        if config.retain_count is not None:
            retain = np.asarray(jax.random.permutation(key, retain))[: config.retain_count]
        _check_size(config, len(retain) + len(split.forget), classes, size)
        dtype = jax.tree.leaves(variables.params)[0].dtype

        def empty(count: int) -> Linearised:
            return Linearised(
                jnp.zeros((count, classes, size), dtype),
                jnp.zeros((count, classes), dtype),
                jnp.zeros((), jnp.int32),
            )

        return State(variables, empty(len(retain)), empty(len(split.forget)), jnp.asarray(retain))

    def plan(split: Split) -> list[Stage]:
        def retain_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(np.asarray(state.order), config.batch_size)

        def forget_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(split.forget, config.batch_size)

        return [
            Stage("Jacobian of the retain set", observe_retain, retain_feed),
            Stage("Jacobian of the forget set", observe_forget, forget_feed),
        ]

    @jitted
    def finish(state: State) -> Variables:
        (j_r, e_r), (j_f, e_f) = state.retain.rows(), state.forget.rows()
        count = len(state.retain.error)
        retain = solution(j_r, e_r, count * config.weight_decay)
        count += len(state.forget.error)
        everything = solution(
            jnp.concatenate([j_r, j_f]), jnp.concatenate([e_r, e_f]), count * config.weight_decay
        )
        delta, _, scale = scrub(retain, everything)
        theta, unravel = ravel_pytree(state.variables.params)
        return state.variables._replace(params=unravel(theta + scale * delta))

    return Method(init, plan, finish)


def _check_size(config: Config, examples: int, classes: int, parameters: int) -> None:
    """Raise ConfigError where the Jacobian or its kernel would hold more than `max_entries` numbers."""
    rows = examples * classes
    largest = rows * max(rows, parameters)
    if largest > config.max_entries:
        raise ConfigError(
            f"ntk would hold {rows:,} rows ({examples:,} examples of {classes} logits) of {parameters:,} parameters: "
            f"{largest:,} numbers, {largest * 4 / 2**30:,.1f} GiB, at most {config.max_entries:,} allowed; "
            f"take a smaller network, a smaller retain_count, or raise max_entries"
        )
