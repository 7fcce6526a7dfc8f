"""How much every weight matters to a set of examples: the mean of |gradient|^power, taken a batch at a time."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from junlearn.parts.gradients import Power, power_of, sum_of_powers
from junlearn.parts.losses import masked_mean
from junlearn.parts.order_statistics import at_rank
from junlearn.parts.trees import zeros
from junlearn.types import Array, Batch, Model, PyTree, Variables

__all__ = [
    "Importance",
    "ImportanceLoss",
    "Kind",
    "empty",
    "in_turn",
    "loss_of",
    "observe",
    "percentile_of_ratios",
]

ImportanceLoss = Literal["cross_entropy", "squared_norm", "norm"]
"""Of which the gradient is taken; the last two, of the logits, need no labels."""
Kind = Literal["example", "batch"]
"""The gradient of each example, or that of a batch's mean loss."""


class Importance(NamedTuple):
    """A running sum over the examples (or batches) seen."""

    total: PyTree
    seen: Array
    """Examples, or batches."""

    def mean(self) -> PyTree:
        """What the weights matter, a tree like the parameters."""
        return jax.tree.map(lambda total: total / self.seen, self.total)


def empty(params: PyTree) -> Importance:
    """Nothing seen."""
    return Importance(zeros(params), jnp.zeros((), jnp.int32))


def loss_of(logits: Array, labels: Array, loss: ImportanceLoss) -> Array:
    """The losses [B] of `logits[B,K]`; only the cross entropy reads `labels[B]`.

    The norm has gradient zero where all logits are zero.
    """
    if loss == "cross_entropy":
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    squares = jnp.square(logits).sum(-1)
    if loss == "squared_norm":
        return squares
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)


def observe(
    model: Model,
    variables: Variables,
    importance: Importance,
    batch: Batch,
    *,
    loss: ImportanceLoss,
    kind: Kind,
    power: Power,
) -> Importance:
    """`importance` with one more batch seen by the network in eval mode."""
    if kind == "example":
        terms = sum_of_powers(
            model,
            variables,
            batch.x,
            batch.mask,
            lambda logits: loss_of(logits, batch.y, loss)[None],
            power,
        )
        count = batch.mask.sum()
    else:

        def mean(params: PyTree) -> Array:
            logits, _, _ = model.apply(variables._replace(params=params), batch.x)
            return masked_mean(loss_of(logits, batch.y, loss), batch.mask)

        terms = jax.tree.map(lambda g: power_of(g, power), jax.grad(mean)(variables.params))
        count = jnp.ones((), jnp.int32)
    total = jax.tree.map(jnp.add, importance.total, terms)
    return Importance(total, importance.seen + count)


def in_turn(
    first: Importance, second: Importance, whole: int, see: Callable[[Importance], Importance]
) -> tuple[Importance, Importance]:
    """Both sums after `see(sum)` of one more batch: of the first until it has seen `whole`, then of the
    second. Two stages with this step are one compiled program.
    """
    turn = first.seen < whole

    def chosen(if_so: PyTree, otherwise: PyTree) -> PyTree:
        return jax.tree.map(partial(jnp.where, turn), if_so, otherwise)

    seen = see(chosen(first, second))
    return chosen(seen, first), chosen(second, seen)


def percentile_of_ratios(numerator: PyTree, denominator: PyTree, percentile: Array) -> Array:
    """The percentile of numerator / denominator over all entries of two trees, those with denominator 0 left out;
    between two entries on the line that joins them. NaN where none is left.
    """
    top, bottom = (
        jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
        for tree in (numerator, denominator)
    )
    ratios = jnp.where(bottom > 0, top / jnp.where(bottom > 0, bottom, 1), jnp.nan)
    place = jnp.maximum(percentile / 100 * ((~jnp.isnan(ratios)).sum() - 1), 0)
    below = jnp.floor(place)
    one, next_one = (at_rank(ratios, rank.astype(jnp.int32)) for rank in (below, jnp.ceil(place)))
    share = place - below
    return jnp.where(share > 0, one * (1 - share) + next_one * share, one)
