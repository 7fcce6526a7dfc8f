"""EMMN: error-maximising and error-minimising noise, a zero-shot method: no image and no label is read.

Setting: a class request and the network; of the data only the shape of an image.

    (1)  z_ki ~ N(0, 1),  i = 1..noise_count,  for every class k
    (2)  forgotten k:  maximise_steps Adam steps on  (1/n) sum_i [ -CE(f(z_ki), k) + l2 ||z_ki||^2 ]    f frozen
    (3)  all other k:  minimise_steps Adam steps on  (1/n) sum_i CE(f(z_ki), k)
    (4)  `epochs` epochs of CE on `copies` copies of all (z_ki, k),  shuffled

BatchNorm: eval mode in (2) and (3), train mode in (4).

Defaults (Chundawat, Tarun, Mandal, Kankanhalli, TIFS 2023, arXiv 2201.05629, as run for JiT, arXiv 2402.01401):

    optimizer            "adam"
    learning_rate        0.0001
    momentum             0.9
    weight_decay         0.0
    noise_count          4
    maximise_steps       25
    minimise_steps       30
    noise_learning_rate  0.1
    l2                   0.1
    noise_used           "all"
    copies               80
    epochs               2
    batch_size           4

Deviations from the release: the gradients that the noise steps leave on the weights do not enter (4), the noise is made
in eval mode, and all images of a class are used: the release takes the first C of them, C the number of channels
(`noise_used="released"`).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Epochs, NonNegative, Positive
from junlearn.parts import descent, feeds, noise_images
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.noise_images import NoiseImages, Used
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.types import (
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of EMMN; the optimiser is that of equation 4."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4
    noise_count: Count = 4
    """Noise images of each class."""
    maximise_steps: Count = 25
    minimise_steps: Count = 30
    noise_learning_rate: Positive = 0.1
    """Rate of Adam on the images."""
    l2: NonNegative = 0.1
    noise_used: Used = "all"
    copies: Count = 80
    """Copies of every noise image in an epoch."""
    epochs: Epochs = 2
    batch_size: BatchSize = 4


SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-2, log=True),
    "maximise_steps": Range(5, 100, log=True),
    "l2": Range(0.01, 1.0, log=True),
    "copies": Range(10, 160, log=True),
}


class State(NamedTuple):
    """The two tables of noise, and the network."""

    forgotten: NoiseImages
    retained: NoiseImages
    network: Descent


def make(config: Config, model: Model) -> Method:
    """Three stages without data: two that make noise, one that trains on it."""
    tx = transformation(config)
    noise_tx = optax.adam(config.noise_learning_rate)
    network_step = descend(supervised(model), tx)

    def classes_in(images: NoiseImages) -> int:
        return images.z.shape[0] // config.noise_count

    def maximise(state: State, batch: Batch) -> tuple[State, Metrics]:
        del batch
        images, metrics = noise_images.update(
            model,
            noise_tx,
            state.network.variables,
            state.forgotten,
            maximise=True,
            l2=config.l2,
            classes=classes_in(state.forgotten),
        )
        return state._replace(forgotten=images), metrics

    def minimise(state: State, batch: Batch) -> tuple[State, Metrics]:
        del batch
        images, metrics = noise_images.update(
            model,
            noise_tx,
            state.network.variables,
            state.retained,
            maximise=False,
            classes=classes_in(state.retained),
        )
        return state._replace(retained=images), metrics

    def train(state: State, batch: Batch) -> tuple[State, Metrics]:
        network, metrics = network_step(state.network, noise_images.rows(_table(state), batch))
        return state._replace(network=network), metrics

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        classes = np.arange(model.num_classes(variables, sources))
        gone = np.isin(classes, split.classes)
        if not gone.any() or gone.all():
            raise ConfigError(
                "emmn makes noise for every class: the request must be for some whole classes, and not for all"
            )
        key, *noise_keys = jax.random.split(key, 3)
        shape = model.example(sources).shape[1:]

        def images(key: Key, some: np.ndarray) -> NoiseImages:
            labels = np.repeat(some, config.noise_count)
            return noise_images.init(noise_images.draw(key, labels.size, shape), labels, noise_tx)

        forgotten, retained = classes[gone], classes[~gone]
        return State(
            images(noise_keys[0], forgotten),
            images(noise_keys[1], retained),
            descent.init(key, variables, tx),
        )

    def plan(split: Split) -> list[Stage]:
        def train_feed(rng: np.random.Generator, state: State) -> Feed:
            # Rows of the table of noise: what "train" holds at these places is not read.
            table = _table(state)
            rows = noise_images.copies(table, classes_in(table), config.copies, config.noise_used)
            return feeds.shuffled(rng, rows, config.batch_size)

        return [
            Stage(
                "maximise the error",
                maximise,
                lambda rng, state: feeds.dataless(config.maximise_steps),
            ),
            Stage(
                "minimise the error",
                minimise,
                lambda rng, state: feeds.dataless(config.minimise_steps),
            ),
            Stage("train on noise", train, train_feed, config.epochs),
        ]

    return Method(init, plan, lambda state: state.network.variables)


def _table(state: State) -> NoiseImages:
    """All noise images, those of the forgotten classes first."""
    both = (state.forgotten, state.retained)
    z, labels = (jnp.concatenate([getattr(n, name) for n in both]) for name in ("z", "labels"))
    return NoiseImages(z, labels, ())
