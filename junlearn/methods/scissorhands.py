"""Scissorhands: draw the weights anew that matter most to the forget set, then train on against it.

Setting: forget and retain images and labels.

    (1)  s = | theta * sum over P batches of D_f of |grad mean CE| |,   train mode, at the original's weights
    (2)  tau = the floor(kappa n)-th smallest of the n entries of s, of all layers;  weights of the late layers with
         s > tau  become  ~ U(-1, 1) / sqrt(fan_in),  biases 0
    (3)  once an epoch, at its first weights:  m = grad of  -mean CE  on one batch of D_f, eval mode, late layers alone
    (4)  g = grad( L_r - lam L_f ),  the mean CE of a batch of D_r and of one of D_f, train mode
         if  g.m < 0  over the late layers:  g <- g + u m  there,   u = max(margin, -(g.m) / (|m|^2 + ridge))
         theta <- SGD step along g
    (5)  when D_f ends:  plain SGD steps on L_r, for the rest of D_r

A step with g.m < 0 would lower the loss on the batch of (3), and so undo the forgetting. The margin adds half of m even
where less would do. Equation P1 of `junlearn.parts.pairs` is the epoch. The running statistics of BatchNorm follow the
passes of (1), and in a step the retain batch first. `late` counts weight layers from the end as `Model.depths` does;
None takes the last half of them, of ResNet-18 stages 3 and 4 and the head.

Defaults (the code's, for 10 % of CIFAR-10 and ResNet-18):

    optimizer          "sgd"
    learning_rate      0.005
    momentum           0.9
    weight_decay       0.0005
    kappa              0.97
    trim_batches       1
    late               None
    lam                0.05
    margin             0.5
    ridge              0.001
    project_every      1
    epochs             10
    batch_size         256
    forget_batch_size  256
    augment            False

The code's for other requests: 50 % of CIFAR-10 learning_rate=0.001, lam=0.01, project_every=10; 10 % of CIFAR-100
kappa=0.99, lam=1.0, late=5 (stage 4 and the head); 10 % of SVHN learning_rate=0.001, kappa=0.9, lam=0.01, a class of it
lam=0.1 and late=5. It augments both batches. Nothing bounds or clips -lam L_f: a large lam diverges.

Deviations: the release leaves BatchNorm out of (1) and (2) by its name, which the BatchNorm of shortcuts does not have;
here every layer that normalises is left out. Where tau is the largest or the smallest s, the release takes the middle
of their range instead; here nothing, or all but ties, is drawn anew.

Reference: Wu, Harandi, ECCV 2024 (arXiv 2401.06187).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import Count, Fraction, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, pairs
from junlearn.parts.descent import Descent, supervised, updater
from junlearn.parts.layers import last_half, last_layers, normalising
from junlearn.parts.optimizers import move, transformation
from junlearn.parts.order_statistics import at_rank
from junlearn.parts.pairs import Paired, PairedBatch
from junlearn.parts.reinitialise import redrawn
from junlearn.parts.trees import zeros
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "Trimming", "make", "threshold", "trim"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Paired):
    """Hyper-parameters of Scissorhands."""

    learning_rate: Positive = 5e-3
    kappa: Fraction = 0.97
    """Share of the weights that matter too little to be drawn anew."""
    trim_batches: Count = 1
    """P of equation 1; all batches of the forget set, where there are fewer."""
    late: Count | None = None
    """Weight layers at the end that are trimmed and projected; None: the last half."""
    lam: NonNegative = 0.05
    """Weight of the forget loss, which is ascended."""
    margin: NonNegative = 0.5
    """Least u of equation 4."""
    ridge: Positive = 1e-3
    project_every: Count = 1
    """The first of so many steps of an epoch is projected."""


# kappa and lam from the least to the largest of the code's for all requests.
SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "kappa": Range(0.9, 0.99),
    "lam": Range(0.01, 1.0, log=True),
    "epochs": Range(1, 20),
}


class Trimming(NamedTuple):
    """What lies beside the network: the `extra` of its state."""

    total: PyTree
    """The sum of equation 1, so far."""
    memory: PyTree
    """m, a tree of the late layers."""
    key: Key
    seen: Array
    """int32[]: batches in `total`."""


def threshold(saliency: PyTree, norms: PyTree, kappa: float) -> Array:
    """Tau of equation 2, where the arrays marked in `norms` do not count; kappa 0 has none: -inf."""
    counted = [
        leaf.ravel()
        for leaf, norm in zip(jax.tree.leaves(saliency), jax.tree.leaves(norms), strict=True)
        if not norm
    ]
    values = jnp.concatenate(counted)
    rank = int(kappa * values.size)
    return at_rank(values, rank - 1) if rank else -jnp.inf * jnp.ones((), values.dtype)


def trim(
    params: PyTree, total: PyTree, fresh: PyTree, late: tuple[str, ...], kappa: float
) -> PyTree:
    """Equation 2: `params` with entries of `fresh` in the layers `late`; `total` is the sum of equation 1."""
    saliency = jax.tree.map(lambda w, t: jnp.abs(w * t), params, total)
    norms = normalising(params)
    tau = threshold(saliency, norms, kappa)

    def leaf(w: Array, s: Array, new: Array, norm: bool) -> Array:
        return w if norm else jnp.where(s > tau, new, w)

    trees = (params, saliency, fresh, norms)
    return params | {name: jax.tree.map(leaf, *(tree[name] for tree in trees)) for name in late}


def make(config: Config, model: Model) -> Method:
    """Trimming, then pairs of batches with projected steps."""
    tx = transformation(config)
    late = last_half(model) if config.late is None else last_layers(model, config.late) or ()
    loss, still = supervised(model), supervised(model, train=False)
    plain = updater(loss, tx)

    def of_late(tree: PyTree) -> PyTree:
        return {name: tree[name] for name in late}

    def measure(state: State, batch: Batch) -> tuple[State, Metrics]:
        now: Trimming = state.extra
        key = jax.random.fold_in(now.key, now.seen)
        params = state.variables.params
        value, gradient, stats = pairs.pull(loss, params, state, batch, key)  # (1)
        total = jax.tree.map(lambda t, g: t + jnp.abs(g), now.total, gradient)
        extra = now._replace(total=total, seen=now.seen + 1)
        return state._replace(variables=Variables(params, stats), extra=extra), {"loss": value}

    def cut(state: State, batch: Batch) -> tuple[State, Metrics]:
        now: Trimming = state.extra
        params, stats = state.variables
        fresh = redrawn(jax.random.fold_in(now.key, now.seen), params)
        params = trim(params, now.total, fresh, late, config.kappa)
        return state._replace(variables=Variables(params, stats)), {}

    def remember(state: State, batch: Batch) -> tuple[State, Metrics]:
        params = state.variables.params
        value, gradient, _ = pairs.pull(still, params, state, batch, state.key)
        memory = jax.tree.map(jnp.negative, of_late(gradient))  # (3)
        return state._replace(extra=state.extra._replace(memory=memory)), {"loss": value}

    def alone(state: State, batch: Batch) -> tuple[State, Metrics]:
        state, metrics = plain(state, batch, jax.random.fold_in(state.key, state.step))
        return state, {"retain_loss": metrics["loss"]}  # (5)

    @remembered
    def training(epoch: int) -> Callable[[State, PairedBatch], tuple[State, Metrics]]:
        def pair(state: State, batch: PairedBatch) -> tuple[State, Metrics]:
            keys = jax.random.split(jax.random.fold_in(state.key, state.step))
            params = state.variables.params
            value, retain, stats = pairs.pull(loss, params, state, batch["retain"], keys[0])
            seen = state._replace(variables=Variables(params, stats))
            _, forget, stats = pairs.pull(loss, params, seen, batch["forget"], keys[1])
            gradient = jax.tree.map(lambda r, f: r - config.lam * f, retain, forget)
            memory = state.extra.memory
            dot = optax.tree.vdot(of_late(gradient), memory)
            u = jnp.maximum(config.margin, -dot / (optax.tree.vdot(memory, memory) + config.ridge))
            asked = (state.step % epoch) % config.project_every == 0
            u = jnp.where((dot < 0) & asked, u, 0.0)
            gradient |= jax.tree.map(lambda g, m: g + u * m, of_late(gradient), memory)  # (4)
            params, optimizer = move(tx, gradient, state.optimizer, params)
            after = state._replace(
                variables=Variables(params, stats), optimizer=optimizer, step=state.step + 1
            )
            return after, {"retain_loss": value}

        return pairs.either(pair, alone)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        key, trim_key = jax.random.split(key)
        total = zeros(variables.params)
        memory = zeros(of_late(variables.params))
        extra = Trimming(total, memory, trim_key, jnp.zeros((), jnp.int32))
        return descent.init(key, variables, tx, extra=extra)

    def plan(split: Split) -> list[Stage]:
        view = "augment" if config.augment else "eval"

        def forgotten(batches: int) -> Callable[[np.random.Generator, State], Feed]:
            def feed(rng: np.random.Generator, state: State) -> Feed:
                rows = feeds.shuffled(rng, split.forget, config.forget_batch_size, view=view)
                return feeds.cut(rows, batches)

            return feed

        # Where every step is projected its place in the epoch does not matter: one program for requests of all sizes.
        epoch = 1 if config.project_every == 1 else pairs.steps(config, split)
        stages = [
            Stage("measure", measure, forgotten(config.trim_batches)),
            Stage("trim", cut, lambda rng, state: feeds.dataless(1)),
        ]
        for number in range(config.epochs):
            stages.append(Stage(f"memory {number}", remember, forgotten(1)))
            stages.append(Stage(f"pairs {number}", training(epoch), pairs.feed(config, split)))
        return stages

    return Method(init, plan, lambda state: state.variables)
