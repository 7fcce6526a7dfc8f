"""The building block of most methods: one network, one loss, one optimiser."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from junlearn.memo import remembered
from junlearn.parts import losses
from junlearn.parts.optimizers import fresh, move
from junlearn.types import Array, Batch, Key, Metrics, Model, PyTree, Variables

__all__ = ["Descent", "Loss", "descend", "init", "supervised", "update_on", "updater"]


class Descent(NamedTuple):
    """What the next step needs."""

    variables: Variables
    optimizer: PyTree
    key: Key
    step: Array
    extra: PyTree = ()
    """What the loss reads and no step changes: relabelled targets, a teacher."""


Loss = Callable[[PyTree, Descent, PyTree, Any], tuple[Array, tuple[PyTree, Metrics]]]
"""`(params, state, batch, key) -> (loss, (stats, metrics))`; for `key` also what was drawn with it."""


def init(
    key: Key, variables: Variables, tx: optax.GradientTransformation, extra: PyTree = ()
) -> Descent:
    """The state before the first step."""
    return Descent(variables, fresh(tx, variables.params), key, jnp.zeros((), jnp.int32), extra)


def update_on(
    loss: Loss, tx: optax.GradientTransformation
) -> Callable[[Descent, PyTree, Any], tuple[Descent, Metrics]]:
    """`update(state, batch, key) -> (state, metrics)`: one descent step on `loss` with the given random key."""

    def update(state: Descent, batch: PyTree, key: Any) -> tuple[Descent, Metrics]:
        (value, (stats, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.variables.params, state, batch, key
        )
        params, optimizer = move(tx, gradient, state.optimizer, state.variables.params)
        state = Descent(Variables(params, stats), optimizer, state.key, state.step + 1, state.extra)
        return state, {"loss": value, **metrics}

    return update


updater = remembered(update_on)
"""The same function for equal arguments. A loss that is defined inside of a step has no place here: use `update_on`."""


@remembered
def descend(
    loss: Loss, tx: optax.GradientTransformation
) -> Callable[[Descent, PyTree], tuple[Descent, Metrics]]:
    """`step(state, batch) -> (state, metrics)`: `updater` with the key of this step."""
    update = updater(loss, tx)

    def step(state: Descent, batch: PyTree) -> tuple[Descent, Metrics]:
        return update(state, batch, jax.random.fold_in(state.key, state.step))

    return step


def supervised(
    model: Model,
    *,
    labels: Callable[[Descent, Batch], Array] = lambda state, batch: batch.y,
    train: bool | Collection[str] = True,
    smoothing: float = 0.0,
) -> Loss:
    """Mean cross entropy against `labels(state, batch)`, by default the labels of the data, in train or eval mode, or
    with the layers that `train` names in train mode; `smoothing` as in `losses.cross_entropy`.
    """

    def loss(
        params: PyTree, state: Descent, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(variables, batch.x, train=train, key=key, mask=batch.mask)
        targets = labels(state, batch)
        value = losses.cross_entropy(logits, targets, batch.mask, smoothing)
        return value, (stats, {"accuracy": losses.accuracy(logits, targets, batch.mask)})

    return loss
