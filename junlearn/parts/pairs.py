"""Steps on a retain and a forget batch together, and the plain steps on the retain set after the last forget batch.

    (P1)  an epoch is one pass over D_r; the i-th batch of D_r is a pair with the i-th batch of D_f as long as D_f lasts
    (P2)  a step without forget rows is  theta <- theta - eta grad mean CE(f_theta(x), y),  x in the retain batch

Where D_f has more batches than D_r, D_r starts again in a new order until D_f ends. Both kinds of steps share one
optimiser. Metrics are those of the retain batch, which every step has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from junlearn.fields import BatchSize, Epochs, NonNegative
from junlearn.parts import feeds
from junlearn.parts.descent import Descent, Loss
from junlearn.parts.optimizers import Optimizer
from junlearn.types import Array, Batch, Feed, Key, Metrics, PyTree, Split

__all__ = ["Paired", "PairedBatch", "either", "feed", "pull", "steps"]

PairedBatch = dict[str, Batch]
"""`"retain"` and `"forget"`."""


@dataclass(frozen=True, kw_only=True)
class Paired(Optimizer):
    """Fields of the methods that train on pairs of batches."""

    weight_decay: NonNegative = 5e-4
    epochs: Epochs = 10
    batch_size: BatchSize = 256
    """Of the retain batches."""
    forget_batch_size: BatchSize = 256
    augment: bool = False
    """Use the training augmentation of the dataset for both batches."""


def steps(config: Paired, split: Split) -> int:
    """Steps of an epoch."""
    return max(
        -(-len(split.retain) // config.batch_size),
        -(-len(split.forget) // config.forget_batch_size),
    )


def feed(config: Paired, split: Split) -> Callable[[np.random.Generator, Any], dict[str, Feed]]:
    """Equation P1, both sets in a new order in every epoch."""

    def draw(rng: np.random.Generator, state: Any) -> dict[str, Feed]:
        return feeds.zipped(
            rng,
            split.retain,
            split.forget,
            batch_size=config.batch_size,
            forget_batch_size=config.forget_batch_size,
            view="augment" if config.augment else "eval",
        )

    return draw


def either(
    pair: Callable[[Any, PairedBatch], tuple[Any, Metrics]],
    alone: Callable[[Any, Batch], tuple[Any, Metrics]],
) -> Callable[[Any, PairedBatch], tuple[Any, Metrics]]:
    """`step(state, batch)`: `pair` where there are forget rows, and `alone` on the retain batch where there are none.

    Both must give the same metrics.
    """

    def step(state: Any, batch: PairedBatch) -> tuple[Any, Metrics]:
        return jax.lax.cond(
            batch["forget"].mask.any(),
            pair,
            lambda state, batch: alone(state, batch["retain"]),
            state,
            batch,
        )

    return step


def pull(
    loss: Loss, params: PyTree, state: Descent, batch: PyTree, key: Key
) -> tuple[Array, PyTree, PyTree]:
    """`(value, gradient, running statistics)` of a loss at `params`, from the statistics of `state` on."""
    (value, (stats, _)), gradient = jax.value_and_grad(loss, has_aux=True)(
        params, state, batch, key
    )
    return value, gradient, stats
