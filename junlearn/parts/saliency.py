"""Which weights a method may move: those whose gradient on the forget set is largest, and an optimiser for them alone.

SalUn's mask, for any method whose state has `variables` and `optimizer`:

    (M1)  s = | sum over the batches of D_f of  grad mean CE(f_theta0(x), y) |,   eval mode, at the weights before
    (M2)  m = 1 on the floor(rho n) largest of the n entries of s, all arrays together, else 0;  of equal ones the first
          in tree order
    (M3)  a step of the optimiser with  m g  in the place of the gradient g;  mask="hard": a weight with m = 0 keeps its
          bits, and its momentum stays 0

A method inherits `Masking`, wraps its optimiser by `masked`, and begins its plan with `stages`. The statistics of
BatchNorm are no weights, and move freely; its scale and its shift are weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import Fraction
from junlearn.memo import remembered
from junlearn.parts import feeds
from junlearn.parts.losses import margin_entropy
from junlearn.parts.order_statistics import smallest
from junlearn.parts.trees import zeros
from junlearn.types import Array, Batch, Feed, Metrics, Model, PyTree, Stage, Variables

__all__ = ["Masked", "Masking", "gradient_sum", "largest", "masked", "stages"]

Weighing = Literal["batch", "example"]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Fields of a method that can leave the less salient weights as they are."""

    mask_ratio: Fraction | None = None
    """Rho: the share of the weights that may move. None: no mask, and no pass that measures; all move."""
    mask: Literal["hard", "gradient"] = "hard"
    """"hard": weights outside of the mask keep their bits; "gradient": only their gradient is 0, and decay moves them,
    as in the first release of SalUn."""
    saliency: Weighing = "batch"
    """In the sum of (M1) every batch counts alike, a short last one too, or every example."""


class Masked(NamedTuple):
    """The state of a masked optimiser."""

    inner: PyTree
    mask: PyTree
    """bool, like the parameters; True everywhere before the mask is made."""
    total: PyTree
    """The sum of (M1), so far."""


def gradient_sum(
    model: Model, variables: Variables, total: PyTree, batch: Batch, weighing: Weighing = "batch"
) -> PyTree:
    """`total` with the gradient of one more batch: of its mean cross entropy, or of the sum over its examples."""

    def entropy(params: PyTree) -> Array:
        logits, _, _ = model.apply(variables._replace(params=params), batch.x)
        value = jnp.where(batch.mask, margin_entropy(logits, batch.y), 0).sum()
        return value / jnp.maximum(batch.mask.sum(), 1) if weighing == "batch" else value

    return jax.tree.map(jnp.add, total, jax.grad(entropy)(variables.params))


def largest(total: PyTree, ratio: float) -> PyTree:
    """Equation M2 on a tree of sums: a tree of bools."""
    leaves, structure = jax.tree.flatten(total)
    sizes = [leaf.size for leaf in leaves]
    values = jnp.concatenate([jnp.abs(leaf).ravel() for leaf in leaves])
    parts = jnp.split(smallest(-values, int(ratio * len(values))), np.cumsum(sizes)[:-1])
    shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, shaped)


def masked(tx: optax.GradientTransformation, config: Masking) -> optax.GradientTransformation:
    """`tx` of the weights of the mask alone, which its state `Masked` has; `tx` itself where no mask is asked for.

    `tx` must work entry by entry, as sgd and the Adams with their decay do.
    """
    return tx if config.mask_ratio is None else _masked(tx, config.mask == "hard")


@remembered
def _masked(tx: optax.GradientTransformation, hard: bool) -> optax.GradientTransformation:
    def only(mask: PyTree, tree: PyTree, otherwise: float = 0.0) -> PyTree:
        def leaf(m: Array, a: Array) -> Array:
            return jnp.where(m, a, jnp.asarray(otherwise, a.dtype))

        return jax.tree.map(leaf, mask, tree)

    def init(params: PyTree) -> Masked:
        return Masked(
            tx.init(params),
            jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params),
            zeros(params),
        )

    def update(gradient: PyTree, state: Masked, params: PyTree = None) -> tuple[PyTree, Masked]:
        gradient = only(state.mask, gradient)
        if hard:
            # Weights of 0 do not decay, so that no momentum begins.
            params = only(state.mask, params)
        change, inner = tx.update(gradient, state.inner, params)
        if hard:
            # The one number that leaves every other as it is, -0 too.
            change = only(state.mask, change, -0.0)
        return change, state._replace(inner=inner)

    return optax.GradientTransformation(init, update)


def stages(config: Masking, model: Model, forget: np.ndarray, batch_size: int) -> list[Stage]:
    """Equations M1 and M2 for the rows `forget`, in stored order and not augmented; none where no mask is asked for.

    They must be the first stages: (M1) is taken at the weights that they find.
    """
    if config.mask_ratio is None:
        return []

    def forget_feed(rng: np.random.Generator, state: Any) -> Feed:
        return feeds.sequential(forget, batch_size)

    return [
        Stage("saliency", _measure(model, config.saliency), forget_feed),
        Stage("mask", _make(config.mask_ratio), lambda rng, state: feeds.dataless(1)),
    ]


@remembered
def _measure(model: Model, weighing: Weighing) -> Callable[[Any, Batch], tuple[Any, Metrics]]:
    def step(state: Any, batch: Batch) -> tuple[Any, Metrics]:
        optimizer: Masked = state.optimizer
        total = gradient_sum(model, state.variables, optimizer.total, batch, weighing)
        return state._replace(optimizer=optimizer._replace(total=total)), {}

    return step


@remembered
def _make(ratio: float) -> Callable[[Any, Batch], tuple[Any, Metrics]]:
    def step(state: Any, batch: Batch) -> tuple[Any, Metrics]:
        optimizer: Masked = state.optimizer
        mask = largest(optimizer.total, ratio)
        return state._replace(optimizer=optimizer._replace(mask=mask)), {}

    return step
