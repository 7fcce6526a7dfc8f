"""SVD projection: take out of every layer the directions that its inputs have on the forget set and not on the rest.

Setting: forget images; retain images with labels, which only choose as many of each class. Meant for whole classes: the
directions of random examples are those of all others. Nothing is trained, and the network is in eval mode.

    (1)  A_l = the inputs of layer l of the original as columns, one for each position that its kernel meets (a feature
         vector of a dense layer, a patch of a convolution), on a sample of D_r, and on one of D_f;  not centred
    (2)  A = U diag(s) V^T,   q_i = s_i^2 / sum s^2,   M = U diag( a q_i / ((a - 1) q_i + 1) ) U^T,
         M_r with a = alpha_retain, M_f with a = alpha_forget
    (3)  P = I - M_f + M_f M_r;   K_l <- P K_l  of every kernel K_l (inputs, outputs), the head's too
    (4)  search=True:  the pair (a_r, a_f) of the largest  acc(D_r) (1 - acc(D_f)),  both on the samples of (1)

(2) is computed without a decomposition, as M = a Q ((a - 1) Q + I)^-1 with Q = A A^T / trace(A A^T), which is the same
matrix. So only A A^T is held, one square array a layer and a set. Biases, BatchNorm and its statistics stay, and so do
kernels of other kinds of layers (grouped convolutions, attention with kernels of more than two axes).

Defaults (of the release; the batch size is ours):

    alpha_retain   100.0
    alpha_forget   3.0
    retain_count   900
    forget_count   900
    balanced       True
    search         False
    retain_alphas  (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
    forget_alphas  (0.25, 0.5, 0.9, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
    batch_size     100

Deviations: the release takes at most 10,000 patches, of images wider than three kernels one random crop of that size;
here all patches of the sample count, as they take no more memory. It samples D_r from a held-out part of the training
set, here from all of it. Its search needs labels of D_f, and reads training data alone.

Reference: Kodge, Saha, Roy, arXiv 2312.00761.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.compiler import jitted
from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Positive
from junlearn.parts import feeds
from junlearn.parts.passes import along_rows
from junlearn.parts.selection import right
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "importance", "make", "needs", "projection"]

NEEDS = frozenset({"forget.x", "retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of SVD projection."""

    alpha_retain: Positive = 100.0
    """How much of weak directions of the retain set counts; 1: their share of the variance alone."""
    alpha_forget: Positive = 3.0
    """The same of the forget set."""
    retain_count: Count = 900
    """Retain examples, at most, that stand for D_r."""
    forget_count: Count = 900
    """Forget examples, at most."""
    balanced: bool = True
    """Draw as many retain examples of each class, by their labels; else of all alike, and no label is read."""
    search: bool = False
    """Choose the pair of (4) among all pairs of `retain_alphas` and `forget_alphas`; it reads the labels."""
    retain_alphas: tuple[Positive, ...] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
    forget_alphas: tuple[Positive, ...] = (
        *(0.25, 0.5, 0.9, 1.0, 3.0),
        *(10.0, 30.0, 100.0, 300.0, 1000.0),
    )
    batch_size: BatchSize = 100
    """Examples whose inputs are taken in a step."""


# The pairs that the release searches, without the steps between them.
SPACE: Space = {
    "alpha_retain": Range(1.0, 1000.0, log=True),
    "alpha_forget": Range(0.25, 1000.0, log=True),
}


def needs(config: Config) -> frozenset[str]:
    """NEEDS without the labels where nothing is drawn by them, and with all labels for the search."""
    if config.search:
        return NEEDS | {"forget.y"}
    return NEEDS if config.balanced else NEEDS - {"retain.y"}


Grams = dict[str, Array]
"""float[D,D] of every layer, by its dotted path: A A^T."""


class State(NamedTuple):
    """The weights stay as they are until `finish`."""

    variables: Variables
    retain: Grams
    forget: Grams
    retain_rows: Array
    """int32[]: the sample of D_r."""
    forget_rows: Array
    """int32[]: the sample of D_f."""
    right: Array
    """int32[2,pairs]: right answers on both samples with each pair of the search."""
    seen: Array
    """int32[2]: how many examples were asked."""


def importance(gram: Array, alpha: float | Array) -> Array:
    """M of equation 2 from A A^T; 0 where all inputs are."""
    total = jnp.trace(gram)
    q = gram / jnp.where(total > 0, total, 1)
    system = (alpha - 1) * q + jnp.eye(len(q), dtype=q.dtype)
    return jax.scipy.linalg.solve(system, alpha * q, assume_a="pos")


def projection(
    retain: Array, forget: Array, alpha_retain: float | Array, alpha_forget: float | Array
) -> Array:
    """P of equation 3 from A A^T on both sets."""
    m_r, m_f = importance(retain, alpha_retain), importance(forget, alpha_forget)
    return jnp.eye(len(m_f), dtype=m_f.dtype) - m_f + m_f @ m_r


def _sample(key: Key, rows: np.ndarray, labels: np.ndarray | None, count: int) -> Array:
    """At most `count` of `rows`, with `labels` as many of each class."""
    order = np.asarray(jax.random.permutation(key, np.asarray(rows, np.int32)))
    if labels is None:
        return jnp.asarray(order[:count])
    of_row = dict(zip(rows.tolist(), labels.tolist(), strict=True))
    own = np.array([of_row[row] for row in order.tolist()])
    classes = np.unique(own)
    each = max(count // len(classes), 1)
    return jnp.asarray(np.concatenate([order[own == label][:each] for label in classes]))


def make(config: Config, model: Model) -> Method:
    """Two stages that add up A A^T, two that try the pairs where they are searched, then one product a layer."""
    if model.layer_inputs is None:
        raise ConfigError(
            "svd_projection must know what each layer reads: make the model by Model.from_linen"
        )
    inputs = model.layer_inputs
    pairs = np.array(list(product(config.retain_alphas, config.forget_alphas)), np.float64)
    if config.search and not pairs.size:
        raise ConfigError("svd_projection: retain_alphas and forget_alphas need an entry each")

    def observe(grams: Grams, variables: Variables, batch: Batch) -> Grams:
        x = jnp.where(along_rows(batch.mask, batch.x), batch.x, 0)
        found: Grams = {}
        for path, rows in inputs(variables, x).items():
            flat = jnp.where(along_rows(batch.mask, rows), rows, 0).reshape(-1, rows.shape[-1])
            with jax.default_matmul_precision("highest"):
                found[".".join(path)] = grams[".".join(path)] + flat.T @ flat
        return found

    def observe_retain(state: State, batch: Batch) -> tuple[State, Metrics]:
        return state._replace(retain=observe(state.retain, state.variables, batch)), {}

    def observe_forget(state: State, batch: Batch) -> tuple[State, Metrics]:
        return state._replace(forget=observe(state.forget, state.variables, batch)), {}

    @jitted
    def projected(state: State, alphas: Array) -> Variables:
        """Equation 3 with a pair of alphas."""

        def walk(node: PyTree, path: tuple[str, ...]) -> PyTree:
            if not isinstance(node, Mapping):
                return node
            name = ".".join(path)
            if name not in state.retain:
                return {key: walk(child, (*path, key)) for key, child in node.items()}
            kernel = node["kernel"]
            p = projection(state.retain[name], state.forget[name], *alphas.astype(kernel.dtype))
            moved = p @ kernel.reshape(len(p), -1)
            return {**node, "kernel": moved.reshape(kernel.shape)}

        with jax.default_matmul_precision("highest"):
            return state.variables._replace(params=walk(state.variables.params, ()))

    def measure(place: int, state: State, batch: Batch) -> tuple[State, Metrics]:
        found = jax.lax.map(
            lambda alphas: right(model, projected(state, alphas), batch), jnp.asarray(pairs)
        )
        return state._replace(
            right=state.right.at[place].add(found[:, 0]), seen=state.seen.at[place].add(found[0, 1])
        ), {}

    def measure_retain(state: State, batch: Batch) -> tuple[State, Metrics]:
        return measure(0, state, batch)

    def measure_forget(state: State, batch: Batch) -> tuple[State, Metrics]:
        return measure(1, state, batch)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        shapes = jax.eval_shape(inputs, variables, model.example(sources))
        if not shapes:
            raise ConfigError(
                "svd_projection: the network has no dense layer and no plain convolution"
            )

        def empty() -> Grams:
            return {
                ".".join(path): jnp.zeros((rows.shape[-1],) * 2, rows.dtype)
                for path, rows in shapes.items()
            }

        labels = np.asarray(sources["train"].y)[split.retain] if config.balanced else None
        retain_key, forget_key = jax.random.split(key)
        return State(
            variables,
            empty(),
            empty(),
            _sample(retain_key, split.retain, labels, config.retain_count),
            _sample(forget_key, split.forget, None, config.forget_count),
            jnp.zeros((2, len(pairs)), jnp.int32),
            jnp.zeros(2, jnp.int32),
        )

    def plan(split: Split) -> list[Stage]:
        def retain_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(np.asarray(state.retain_rows), config.batch_size)

        def forget_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(np.asarray(state.forget_rows), config.batch_size)

        stages = [
            Stage("inputs, retain set", observe_retain, retain_feed),
            Stage("inputs, forget set", observe_forget, forget_feed),
        ]
        if config.search:
            stages.append(Stage("pairs, retain set", measure_retain, retain_feed))
            stages.append(Stage("pairs, forget set", measure_forget, forget_feed))
        return stages

    def chosen(state: State) -> np.ndarray:
        """The pair of alphas; of several as good the first."""
        if not config.search:
            return np.array([config.alpha_retain, config.alpha_forget])
        retain, forget = np.asarray(state.right) / np.asarray(state.seen)[:, None]
        return pairs[np.argmax(retain * (1 - forget))]

    def finish(state: State) -> Variables:
        return projected(state, jnp.asarray(chosen(state)))

    def report(state: State) -> dict[str, Array]:
        retain, forget = jnp.asarray(chosen(state))
        return {"svd_projection/alpha_retain": retain, "svd_projection/alpha_forget": forget}

    late = frozenset() if config.search else frozenset({"alpha_retain", "alpha_forget"})
    return Method(init, plan, finish, report=report, read_at_finish=late)
