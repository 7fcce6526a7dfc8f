"""SISA: sharded, isolated, sliced and aggregated training, which can forget exactly by repeating a part of itself.

Setting: retain images and labels; the original network is not used.

    (1)  D is dealt at random into S shards of R slices each;  D_sr, one network theta_s a shard, freshly initialised
    (2)  for r = 1..R:  `epochs` epochs of CE on the union of D_s1..D_sr,  going on from the checkpoint before
    (3)  to forget: f_s = the first slice of shard s with a forget example; shard s restarts from its checkpoint before
         f_s (of the initial weights for f_s = 1) and repeats (2) for r = f_s..R without D_f
    (4)  f(x) = majority vote of the S networks, ties to the largest mean softmax    aggregate="vote"
         f(x) = mean softmax                                                         aggregate="mean"
    (5)  cost = sum_s sum_{r >= f_s} r / (S R (R + 1) / 2),   the share of slice-epochs that is repeated

The checkpoint that a shard restarts from has seen no forget example. So the result is (2) on D_r, and D_f is never
read: the stages "before the request" train every shard up to its checkpoint, those "after the request" repeat the rest,
and their seconds alone are the price of unlearning: a record has them in `stages`, while `seconds` hold those of both.
Equation 5 is the metric `sisa/repeated`.

Defaults (ours; S, R and the number of epochs are free in the paper, which takes 2 e / (R + 1) epochs a slice for the
work of e epochs on whole shards, here 10):

    optimizer      "adam"
    learning_rate  0.001
    momentum       0.9
    weight_decay   0.0
    shards         5
    slices         3
    epochs         5
    batch_size     128
    aggregate      "vote"
    augment        True

A checkpoint holds the optimiser's state too. The networks stand along a leading axis of the parameters; a step trains
one of them, that of its batch. Of the vote, logits are log((v_k + p_k / 2) / (S + 1 / 2)), v_k votes and mean softmax
p_k: finite, and their argmax is equation 4.

Reference: Bourtoule et al., S&P 2021 (arXiv 1912.03817).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Epochs, Positive
from junlearn.memo import remembered
from junlearn.parts import feeds
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import Optimizer, transformation
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

__all__ = [
    "NEEDS",
    "SPACE",
    "Config",
    "State",
    "cost",
    "deal",
    "ensemble",
    "make",
    "mean",
    "restarts",
    "vote",
]

NEEDS = frozenset({"retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """The layout of SISA and the recipe of its networks."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-3
    shards: Count = 5
    """S."""
    slices: Count = 3
    """R, slices a shard."""
    epochs: Epochs = 5
    """Epochs after each slice that is added."""
    batch_size: BatchSize = 128
    aggregate: Literal["vote", "mean"] = "vote"
    augment: bool = True
    """Use the training augmentation of the dataset."""


# Shards and slices are a choice between the price of training and that of a request.
SPACE: Space = {"learning_rate": Range(1e-4, 1e-2, log=True), "epochs": Range(1, 40, log=True)}


class State(NamedTuple):
    """All networks, and who learns what."""

    variables: Variables
    """Every leaf has a leading axis [S]."""
    optimizer: PyTree
    """Every leaf has a leading axis [S]."""
    step: Array
    """int32[S]: steps that each network has made."""
    key: Key
    shard: Array
    """int32[N]: the shard of every training example, forget examples included."""
    slice: Array
    """int32[N]: its slice, from 0."""
    repeated: Array
    """Equation 5."""


def deal(order: np.ndarray, shards: int, slices: int) -> tuple[np.ndarray, np.ndarray]:
    """Equation 1: shard[N] and slice[N] of the examples in `order[N]`, cut into S R parts whose sizes differ by one."""
    part = np.empty(order.size, np.int32)
    part[order] = np.arange(order.size) * (shards * slices) // order.size
    return part // slices, part % slices


def restarts(
    shard: np.ndarray, slice: np.ndarray, forget: np.ndarray, layout: Config
) -> np.ndarray:
    """int[S]: the slice (from 0) from which each shard is trained anew; R where it holds no forget example."""
    first = np.full(layout.shards, layout.slices)
    np.minimum.at(first, shard[forget], slice[forget])
    return first


def cost(first: np.ndarray, slices: int) -> float:
    """Equation 5: stage r (from 0) of a shard passes over r + 1 slices."""
    passes = np.arange(1, slices + 1)
    return float(
        (passes * (np.arange(slices) >= first[:, None])).sum() / (first.size * passes.sum())
    )


def mean(logits: Array) -> Array:
    """Mean softmax over the shards of `logits[S,B,K]`, as logarithms [B,K]; finite."""
    return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - jnp.log(logits.shape[0])


def vote(logits: Array) -> Array:
    """Shares of the votes of `logits[S,B,K]`, smoothed by half a vote that is dealt as the mean softmax; as logarithms.

    The largest entry is the class with most votes, of those with equally many the one of largest mean softmax, of
    those the first. Where rounding would hide that order, the winner is lifted to the next number.
    """
    shards, _, classes = logits.shape
    log_mean = mean(logits)
    votes = jax.nn.one_hot(jnp.argmax(logits, axis=-1), classes, dtype=logits.dtype).sum(axis=0)
    smoothed = jnp.logaddexp(jnp.log(votes), log_mean - jnp.log(2.0)) - jnp.log(shards + 0.5)
    leading = votes == votes.max(axis=-1, keepdims=True)
    winner = jnp.argmax(jnp.where(leading, log_mean, -jnp.inf), axis=-1)
    wins = jax.nn.one_hot(winner, classes, dtype=bool)
    others = jnp.where(wins, -jnp.inf, smoothed).max(axis=-1, keepdims=True)
    return jnp.where(wins, jnp.maximum(smoothed, jnp.nextafter(others, jnp.inf)), smoothed)


@remembered
def ensemble(model: Model, shards: int, aggregate: Literal["vote", "mean"]) -> Model:
    """Equation 4 as a network whose variables have a leading axis [S]; its embedding is all S side by side."""

    def init(key: Key, x: Array) -> Variables:
        return jax.vmap(model.init, in_axes=(0, None))(jax.random.split(key, shards), x)

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool = False,
        key: Key | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, dict[str, Array], PyTree]:
        def one(numbered: tuple[Variables, Array]) -> tuple[Array, Array, PyTree]:
            own, number = numbered
            own_key = None if key is None else jax.random.fold_in(key, number)
            logits, features, stats = model.apply(own, x, train=train, key=own_key, mask=mask)
            return logits, features["embedding"], stats

        # Side by side, the networks' convolutions become grouped ones, which are several times slower on a CPU.
        over = jax.lax.map if jax.default_backend() == "cpu" else lambda f, xs: jax.vmap(f)(xs)
        logits, embedding, stats = over(one, (variables, jnp.arange(shards)))
        embedding = jnp.moveaxis(embedding, 0, 1).reshape(x.shape[0], -1)
        return (vote if aggregate == "vote" else mean)(logits), {"embedding": embedding}, stats

    return model._replace(init=init, apply=apply)


def make(config: Config, model: Model) -> Method:
    """R stages before the request and R after it."""
    tx = transformation(config)
    descent = descend(supervised(model), tx)
    view = "augment" if config.augment else "eval"

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        shard = state.shard[batch.index[0]]
        networks = (state.variables, state.optimizer, state.step)
        own = jax.tree.map(lambda leaf: leaf[shard], networks)
        own_key = jax.random.fold_in(state.key, shard)
        after, metrics = descent(Descent(own[0], own[1], own_key, own[2]), batch)
        # A batch of padding alone stands for a stage in which no shard has anything to do.
        variables, optimizer, steps = jax.tree.map(
            lambda leaf, old, new: leaf.at[shard].set(jnp.where(batch.mask.any(), new, old)),
            networks,
            own,
            (after.variables, after.optimizer, after.step),
        )
        state = state._replace(variables=variables, optimizer=optimizer, step=steps)
        return state, metrics

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del variables
        size = sources["train"].y.shape[0]
        deal_key, init_key, step_key = jax.random.split(key, 3)
        order = np.asarray(jax.random.permutation(deal_key, size))
        shard, slice = deal(order, config.shards, config.slices)
        kept = np.bincount(shard[split.retain], minlength=config.shards)
        if size < config.shards * config.slices or not kept.all():
            raise ConfigError(
                f"sisa: {size} examples, {len(split.retain)} of them retained, leave a slice or a shard of "
                f"{config.shards} shards of {config.slices} slices empty; choose fewer"
            )
        fresh = [model.fresh(k, sources) for k in jax.random.split(init_key, config.shards)]
        networks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *fresh)
        repeated = cost(restarts(shard, slice, split.forget, config), config.slices)
        return State(
            networks,
            jax.vmap(tx.init)(networks.params),
            jnp.zeros(config.shards, jnp.int32),
            step_key,
            jnp.asarray(shard),
            jnp.asarray(slice),
            jnp.float32(repeated),
        )

    def plan(split: Split) -> list[Stage]:
        def stage(before: bool, added: int) -> Stage:
            def feed(rng: np.random.Generator, state: State) -> Feed:
                shard, slice = np.asarray(state.shard), np.asarray(state.slice)
                known = np.zeros(shard.size, bool)
                known[split.retain] = True
                known &= slice <= added
                first = restarts(shard, slice, split.forget, config)
                # One generator a shard: what one shard holds does not change the order of another.
                parts = [
                    feeds.shuffled(own_rng, rows, config.batch_size, view=view)
                    for s, own_rng in enumerate(rng.spawn(config.shards))
                    if (first[s] > added) == before
                    and (rows := np.flatnonzero(known & (shard == s))).size
                ]
                if not parts:
                    idle = feeds.sequential(split.retain[:1], config.batch_size, view=view)
                    return idle._replace(mask=np.zeros_like(idle.mask))
                return parts[0]._replace(
                    index=np.concatenate([p.index for p in parts]),
                    mask=np.concatenate([p.mask for p in parts]),
                )

            when = "before" if before else "after"
            return Stage(f"{when} the request, slice {added + 1}", step, feed, config.epochs)

        return [stage(before, r) for before in (True, False) for r in range(config.slices)]

    def finish(state: State) -> tuple[Model, Variables]:
        return ensemble(model, config.shards, config.aggregate), state.variables

    def report(state: State) -> dict[str, Array]:
        return {"sisa/repeated": state.repeated}

    return Method(init, plan, finish, report=report, afresh=True)
