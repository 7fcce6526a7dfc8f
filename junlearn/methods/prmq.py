"""PRMQ (prune, re-initialise, match, quantise): draw all but the largest weights anew, train, and round the result.

Setting: retain images and labels.

    (1)  the round(rho n) entries of least size of the n in all kernels, matrices and biases of convolutions and linear
         layers together  <- 0
    (2)  K_ij <- U(-1, 1) / sqrt(fan_in)  where it is 0, in kernels and matrices;  biases stay 0
    (3)  minimise  sum_i w_{y_i} CE_i / sum_i w_{y_i}  +  mean_i (H(p_i) - H(p0_i))^2  over batches of D_r, train mode,
         w_k = n_k^-a,  n_k retain examples of class k,  p0 the original's probabilities in eval mode,  H in nats
    (4)  floor(E T) + 1 steps, E = `passes`, T steps in a pass over D_r
    (5)  all weights and running statistics  <- rounded to float16 and back

What normalises (scale, shift) is not pruned, nor are embeddings of positions. With rho = 0.99 this is training from
nearly fresh weights with 3.2 epochs of time: on data that take longer it costs accuracy.

Defaults (the entry of the NeurIPS 2023 unlearning challenge, as in the comparison below):

    optimizer      "sgd"
    learning_rate  0.0005
    momentum       0.9
    weight_decay   0.0005
    rho            0.99
    exponent       0.1
    passes         3.2
    batch_size     64
    half           True
    augment        False

The comparison searched rate and decay in 0.00001..0.1 and rho in 0..1 for every dataset; the values that it found are
not published.

Reference: Cadet, Borovykh, Malekzadeh, Ahmadi-Abhari, Haddadi, Deep Unlearn, arXiv 2410.01276 (there "PRMQ").
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.errors import DivergedError
from junlearn.fields import BatchSize, Fraction, NonNegative, Positive
from junlearn.parts import class_weights, descent, feeds
from junlearn.parts.descent import Descent, descend
from junlearn.parts.losses import entropy, masked_mean
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.parts.order_statistics import smallest
from junlearn.parts.reinitialise import fan_ins, uniform_fan_in, unit_uniform
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

__all__ = ["NEEDS", "SPACE", "Config", "Memory", "State", "halved", "make", "pruned", "refilled"]

NEEDS = frozenset({"retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of PRMQ."""

    learning_rate: Positive = 5e-4
    weight_decay: NonNegative = 5e-4
    rho: Fraction = 0.99
    """Share of the weights that are pruned."""
    exponent: NonNegative = 0.1
    """a: how much more the examples of a rare class count; 0: all alike."""
    passes: Positive = 3.2
    """Passes over the retain set, not only whole ones."""
    batch_size: BatchSize = 64
    half: bool = True
    """Equation 5."""
    augment: bool = False
    """Use the training augmentation of the dataset."""


# Rate, decay and rho as in the comparison.
SPACE: Space = {
    "learning_rate": Range(1e-5, 0.1, log=True),
    "weight_decay": Range(1e-5, 0.1, log=True),
    "rho": Range(0.0, 1.0),
    "passes": Range(1.0, 10.0),
}


class Memory(NamedTuple):
    """What the loss reads: the `extra` of the state."""

    original: Variables
    weights: Array
    """float[K]: w of equation 3."""


def pruned(params: PyTree, share: float) -> PyTree:
    """Equation 1. Of entries of one size those first in tree order are pruned."""
    inside = [bool(fan_in) for fan_in in jax.tree.leaves(fan_ins(params))]
    leaves, structure = jax.tree.flatten(params)
    chosen = [leaf for leaf, layer in zip(leaves, inside, strict=True) if layer]
    values = jnp.concatenate([leaf.ravel() for leaf in chosen])
    least = smallest(jnp.abs(values), round(share * values.size))
    ends = np.cumsum([leaf.size for leaf in chosen])[:-1]
    parts = iter(jnp.split(jnp.where(least, 0, values), ends))
    after = [
        next(parts).reshape(leaf.shape) if layer else leaf
        for leaf, layer in zip(leaves, inside, strict=True)
    ]
    return jax.tree.unflatten(structure, after)


def refilled(params: PyTree, unit: PyTree) -> PyTree:
    """Equation 2, from draws `unit` of U(0, 1)."""

    def leaf(w: Array, draws: Array, fan_in: int) -> Array:
        if not fan_in or w.ndim == 1:
            return w
        return jnp.where(w == 0, uniform_fan_in(draws, fan_in), w)

    return jax.tree.map(leaf, params, unit, fan_ins(params))


def halved(variables: Variables) -> Variables:
    """Equation 5: numbers that float16 has, in the dtypes that they had.

    Raises DivergedError for one that is too large for it.
    """
    for path, leaf in jax.tree.leaves_with_path(variables):
        if (most := float(jnp.abs(leaf).max())) > float(jnp.finfo(jnp.float16).max):
            where = jax.tree_util.keystr(path, simple=True, separator=".")
            raise DivergedError(
                f"prmq: half precision has no number as large as {most:g} in {where}. Set half=false"
            )
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(leaf.dtype), variables)


def make(config: Config, model: Model) -> Method:
    """Supervised training from fresh weights, with the original's entropy as a second target."""
    tx = transformation(config)
    view = "augment" if config.augment else "eval"

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        memory: Memory = state.extra
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(variables, batch.x, train=True, key=key, mask=batch.mask)
        known, _, _ = model.apply(memory.original, batch.x)
        weights = jnp.where(batch.mask, memory.weights[batch.y].astype(logits.dtype), 0)
        terms = optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch.y)
        total = weights.sum()
        weighted = jnp.where(batch.mask, weights * terms, 0).sum() / jnp.where(total > 0, total, 1)
        gap = masked_mean(jnp.square(entropy(logits) - entropy(known)), batch.mask)
        return weighted + gap, (stats, {"entropy_gap": gap})  # (3)

    step = descend(loss, tx)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        key, draw_key = jax.random.split(key)
        params = pruned(variables.params, config.rho)
        params = refilled(params, unit_uniform(draw_key, params))
        counts = class_weights.counts(model, variables, sources, split)
        weights = class_weights.power(counts, config.exponent)
        memory = Memory(jax.tree.map(jnp.array, variables), weights)
        return descent.init(key, Variables(params, variables.stats), tx, extra=memory)

    def plan(split: Split) -> list[Stage]:
        epoch = -(-len(split.retain) // config.batch_size)
        whole, rest = divmod(int(config.passes * epoch) + 1, epoch)  # (4)

        def feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.retain, config.batch_size, view=view)

        def last(rng: np.random.Generator, state: State) -> Feed:
            return feeds.cut(feed(rng, state), rest)

        stages = [Stage("refill", step, feed, whole)] if whole else []
        return [*stages, Stage("refill, cut", step, last)] if rest else stages

    def finish(state: State) -> Variables:
        return halved(state.variables) if config.half else state.variables

    return Method(init, plan, finish, read_at_finish=frozenset({"half"}))
