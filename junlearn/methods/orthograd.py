"""OrthoGrad: ascend on the forget loss across all that the retain examples of the batch pull along.

Setting: forget images and labels, few retain images and labels.

    (1)  A = [grad CE(x_1), .., grad CE(x_B)],  x_i in a batch of D_r;   g_f = grad mean CE over a batch of D_f
         g_perp = g_f  without its part in the span of the columns of A
    (2)  g = a mean_i grad CE(x_i) - (1 - a) g_perp
    (3)  theta <- optimiser step along g;   with `target_accuracy`, until the accuracy on D_f is at most this

Equation G2 of `junlearn.parts.projection` is g_perp. All passes are in eval mode: a batch that is normalised by its own
moments has no gradients of single examples. To first order a step along g_perp changes the loss of no retain example of
the batch. Momentum, Adam and weight decay mix other directions in, and lose this.

The forget loss has no upper bound: at a rate that forgets at all, it diverges in the end. Set `target_accuracy`, with
`check_every`.

An epoch is one pass over D_f; a batch of the retain examples goes with each of its batches, in turn. `retain_count`
draws these examples once, without replacement; None takes all of D_r.

Defaults (ours in all, the paper's are not known):

    optimizer          "sgd"
    learning_rate      0.01
    momentum           0.0
    weight_decay       0.0
    a                  0.5
    ridge              1e-10
    retain_count       None
    epochs             5
    batch_size         32
    target_accuracy    None
    check_every        None

The Gram matrix takes a backward pass for each retain example of a batch; of a network too large for all of them to be
in memory, as many passes as a batch has groups that fit.

Left out: updates through LoRA adapters, as in the paper's experiments, on layers that are not known. The target there
is the accuracy of the original on unseen data; give that number, if it is what you want. No code was found to compare
with, and a and the signs of (2) are from notes on the paper.

Reference: Shamsian et al., arXiv 2503.02312.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.fields import BatchSize, Count, Epochs, Fraction, Momentum, Positive
from junlearn.parts import descent, feeds, pairs
from junlearn.parts.descent import Descent, supervised
from junlearn.parts.importance import loss_of
from junlearn.parts.optimizers import Optimizer, move, transformation
from junlearn.parts.pairs import PairedBatch
from junlearn.parts.projection import coefficients, gram_matrix
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

__all__ = ["NEEDS", "SPACE", "Config", "State", "direction", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of OrthoGrad."""

    momentum: Momentum = 0.0
    a: Fraction = 0.5
    """Weight of the retain loss; 0 is ascent across the retain gradients, 1 is training on the retain examples."""
    ridge: Positive = 1e-10
    """Of equation G2; the precision of the numbers bounds it from below."""
    retain_count: Count | None = None
    """Retain examples that are used in all."""
    epochs: Epochs = 5
    batch_size: BatchSize = 32
    """Of both sets."""
    target_accuracy: Fraction | None = None
    """End as soon as the accuracy on the forget set is at most this."""
    check_every: Count | None = None
    """Steps between two looks at this accuracy; None: at the end of every epoch."""


SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "a": Range(0.05, 0.95),
    "epochs": Range(1, 20),
}


def direction(
    model: Model, variables: Variables, retain: Batch, forget: PyTree, a: float, ridge: float
) -> tuple[PyTree, Array]:
    """Equation 2, with `forget` for g_f, and the mean retain loss."""

    def each(params: PyTree) -> Array:
        logits, _, _ = model.apply(variables._replace(params=params), retain.x)
        return jnp.where(retain.mask, loss_of(logits, retain.y, "cross_entropy"), 0)

    def one(row: Batch) -> PyTree:
        def loss(params: PyTree) -> Array:
            logits, _, _ = model.apply(variables._replace(params=params), row.x[None])
            return jnp.where(row.mask, loss_of(logits, row.y[None], "cross_entropy")[0], 0)

        return jax.grad(loss)(variables.params)

    gram = gram_matrix(one, retain)
    losses, along = jax.jvp(each, (variables.params,), (forget,))
    w = coefficients(gram, along, ridge)
    seen = jnp.maximum(retain.mask.sum(), 1)
    # The retain part of (2) and A w are one combination of the columns of A.
    (combined,) = jax.vjp(each, variables.params)[1](
        a * retain.mask.astype(losses.dtype) / seen + (1 - a) * w
    )
    return jax.tree.map(lambda c, f: c - (1 - a) * f, combined, forget), losses.sum() / seen


def make(config: Config, model: Model) -> Method:
    """Ascent across the gradients of retain examples."""
    tx = transformation(config)
    loss = supervised(model, train=False)

    def step(state: State, batch: PairedBatch) -> tuple[State, Metrics]:
        variables = state.variables
        value, forget, _ = pairs.pull(loss, variables.params, state, batch["forget"], state.key)
        gradient, retain = direction(
            model, variables, batch["retain"], forget, config.a, config.ridge
        )
        params, optimizer = move(tx, gradient, state.optimizer, variables.params)
        after = state._replace(
            variables=Variables(params, variables.stats),
            optimizer=optimizer,
            step=state.step + 1,
        )
        return after, {"forget_loss": value, "retain_loss": retain}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        return descent.init(key, variables, tx)

    def until(split: Split) -> Callable[[State, Callable[..., dict[str, float]]], bool] | None:
        target = config.target_accuracy
        if target is None:
            return None
        return lambda state, evaluate: evaluate(state.variables, split.forget)["accuracy"] <= target

    def plan(split: Split) -> list[Stage]:
        count = config.retain_count
        retain = split.retain if count is None else split.sample(count)

        def feed(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            sets = {"retain": retain, "forget": split.forget}
            return feeds.paired(rng, sets, config.batch_size, leader="forget")

        return [Stage("across", step, feed, config.epochs, until(split), config.check_every)]

    return Method(init, plan, lambda state: state.variables)
