"""CFW: put noise on the first layer, and repair the network with weighted classes on the retain set.

Setting: retain images and labels.

    (1)  K <- K + N(0, sigma^2)  for the kernel K of the first layer (`noise_layers`: of others), not for its bias
    (2)  minimise  mean_i w_{y_i} CE_i  over D_r, train mode;  w_k = n / (P n_k),  n_k of the n retain examples are of
         class k, and P classes have any;  rate in epoch e = 0, 1, .. of E:  eta (1 + cos(pi e / E)) / 2
    (3)  before the last of these epochs, if it is not the first:  K <- K + N(0, final_sigma^2)

Defaults (the entry of the NeurIPS 2023 unlearning challenge, as in the comparison below):

    optimizer      "sgd"
    learning_rate  0.0007
    momentum       0.9
    weight_decay   0.0005
    sigma          0.6
    final_sigma    0.005
    noise_layers   None
    weighing       "example"
    epochs         4
    batch_size     64
    augment        False

The comparison searched rate and decay in 0.00001..0.1 and both sigmas in 0..1 for every dataset; the values that it
found are not published. The entry itself had weights of 1 for class 0 and of 0.05 for all others.

Deviations: the release (preset `cfw_released`) multiplies the mean loss of a batch by the mean weight of its labels, so
that a weight moves all of its examples alike. Its list of weights is out of step where a class has no retain example.
It puts noise on those direct children of the network that have "conv" in their names: in a ResNet the stem. Here it is
the first layer of any network.

Reference: Cadet, Borovykh, Malekzadeh, Ahmadi-Abhari, Haddadi, Deep Unlearn, arXiv 2410.01276 (there "CFW").
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import numpy as np
import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Epochs, NonNegative, Positive
from junlearn.parts import class_weights, descent, feeds
from junlearn.parts.descent import Descent, descend
from junlearn.parts.layers import stem
from junlearn.parts.losses import masked_mean
from junlearn.parts.optimizers import Optimizer, schedule, transformation
from junlearn.parts.reinitialise import fan_ins, unit_normal
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    Preset,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "Memory", "State", "make", "noised"]

NEEDS = frozenset({"retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of CFW."""

    learning_rate: Positive = 7e-4
    weight_decay: NonNegative = 5e-4
    sigma: NonNegative = 0.6
    """Standard deviation of the noise before the first epoch."""
    final_sigma: NonNegative = 0.005
    """That before the last epoch."""
    noise_layers: tuple[str, ...] | None = None
    """Names of the layers whose kernels get noise; None: the first layer."""
    weighing: Literal["example", "batch"] = "example"
    """Equation 2, or the product of two batch means, as released."""
    epochs: Epochs = 4
    batch_size: BatchSize = 64
    augment: bool = False
    """Use the training augmentation of the dataset."""


# Rate and decay as in the comparison; its sigmas end at 1, which is little noise for a small network.
SPACE: Space = {
    "learning_rate": Range(1e-5, 0.1, log=True),
    "weight_decay": Range(1e-5, 0.1, log=True),
    "sigma": Range(0.0, 3.0),
    "final_sigma": Range(0.0, 1.0),
    "epochs": Range(1, 10),
}

PRESETS = {
    "cfw_released": Preset(
        "CFW as its code does it: the mean loss of a batch times the mean weight of its labels",
        {"weighing": "batch"},
    ),
}
"""As in the comparison."""


class Memory(NamedTuple):
    """What lies beside the network: the `extra` of its state."""

    weights: Array
    """float[K]: w of equation 2."""
    key: Key
    """Of the noise of equation 3."""


def noised(params: PyTree, unit: PyTree, layers: Collection[str], sigma: float) -> PyTree:
    """Equations 1 and 3: `params` with sigma times `unit` added to all kernels and matrices in `layers`."""

    def leaf(w: Array, draws: Array, fan_in: int) -> Array:
        return w + sigma * draws if fan_in and w.ndim > 1 else w

    trees = (params, unit, fan_ins(params))
    return params | {name: jax.tree.map(leaf, *(tree[name] for tree in trees)) for name in layers}


def make(config: Config, model: Model) -> Method:
    """Noise, weighted training, noise, and an epoch more."""
    layers = (stem(model, "cfw"),) if config.noise_layers is None else config.noise_layers
    view = "augment" if config.augment else "eval"

    def transform(split: Split) -> optax.GradientTransformation:
        epoch = -(-len(split.retain) // config.batch_size)
        rate = schedule(
            "epoch_cosine",
            config.learning_rate,
            steps_per_epoch=epoch,
            total=epoch * config.epochs,
        )
        return transformation(config, rate)

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(variables, batch.x, train=True, key=key, mask=batch.mask)
        terms = optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch.y)
        weights = state.extra.weights[batch.y].astype(logits.dtype)
        if config.weighing == "batch":
            value = masked_mean(terms, batch.mask) * masked_mean(weights, batch.mask)
        else:
            value = masked_mean(weights * terms, batch.mask)  # (2)
        return value, (stats, {})

    def noise(state: State, batch: Batch) -> tuple[State, Metrics]:
        params, stats = state.variables
        unit = unit_normal(jax.random.fold_in(state.extra.key, state.step), params)
        params = noised(params, unit, layers, config.final_sigma)
        return state._replace(variables=Variables(params, stats)), {}  # (3)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        params, stats = variables
        if unknown := [name for name in layers if name not in params]:
            raise ConfigError(
                f"cfw: noise_layers names {', '.join(unknown)}; the layers are {', '.join(params)}"
            )
        key, first, final = jax.random.split(key, 3)
        params = noised(params, unit_normal(first, params), layers, config.sigma)  # (1)
        counts = class_weights.counts(model, variables, sources, split)
        memory = Memory(class_weights.balanced(counts), final)
        return descent.init(key, Variables(params, stats), transform(split), extra=memory)

    def plan(split: Split) -> list[Stage]:
        step = descend(loss, transform(split))

        def feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.retain, config.batch_size, view=view)

        last = Stage("last epoch", step, feed)
        if config.epochs == 1:
            return [last]
        return [
            Stage("repair", step, feed, config.epochs - 1),
            Stage("noise", noise, lambda rng, state: feeds.dataless(1)),
            last,
        ]

    return Method(init, plan, lambda state: state.variables)
