"""Images made from noise by gradient steps on the images, and the copies of them that a network is trained on.

With f frozen and in eval mode, n images z_i to a class and y_i the class of image i:

    (N1)  error-maximising:  L(z) = (1/n) sum_i [ -CE(f(z_i), y_i) + l2 ||z_i||^2 ]
    (N2)  error-minimising:  L(z) = (1/n) sum_i CE(f(z_i), y_i)

The loss of an image reads no other image, so the images of all classes take their steps together.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.parts import losses
from junlearn.parts.optimizers import fresh, move
from junlearn.types import Array, Batch, Key, Metrics, Model, PyTree, Variables

__all__ = ["NoiseImages", "Used", "copies", "draw", "init", "noise_loss", "rows", "update"]

Used = Literal["all", "released"]
"""Which images of a class are copied: the released loader takes the number of channels for that of the images."""


class NoiseImages(NamedTuple):
    """A table of images, each with the class that it stands for."""

    z: Array
    """float[M,H,W,C]."""
    labels: Array
    """int32[M]."""
    optimizer: PyTree


def draw(key: Key, count: int, shape: tuple[int, ...]) -> Array:
    """Standard normal noise [count,H,W,C]; drawn flat, which XLA compiles many times faster."""
    return jax.random.normal(key, (count * math.prod(shape),)).reshape(count, *shape)


def init(z: Array, labels: np.ndarray, tx: optax.GradientTransformation) -> NoiseImages:
    """The images before the first step."""
    return NoiseImages(z, jnp.asarray(labels.astype(np.int32)), fresh(tx, z))


def noise_loss(
    logits: Array, labels: Array, z: Array, *, maximise: bool, l2: float
) -> tuple[Array, Array]:
    """Equation N1 (`maximise`) or N2, and the mean cross entropy alone."""
    error = losses.cross_entropy(logits, labels, jnp.ones(z.shape[0], bool))
    norm = jnp.square(z.reshape(z.shape[0], -1)).sum(axis=1).mean()
    return (-error if maximise else error) + l2 * norm, error


def update(
    model: Model,
    tx: optax.GradientTransformation,
    variables: Variables,
    images: NoiseImages,
    *,
    maximise: bool,
    l2: float = 0.0,
    classes: int = 1,
) -> tuple[NoiseImages, Metrics]:
    """One step on every image; the loss is the sum over the `classes` in the table, which have equally many images."""

    def loss(z: Array) -> tuple[Array, tuple[Array, Array]]:
        logits, _, _ = model.apply(variables, z)
        value, error = noise_loss(logits, images.labels, z, maximise=maximise, l2=l2)
        return classes * value, (value, error)

    (_, (value, error)), gradient = jax.value_and_grad(loss, has_aux=True)(images.z)
    z, optimizer = move(tx, gradient, images.optimizer, images.z)
    return NoiseImages(z, images.labels, optimizer), {"loss": value, "cross_entropy": error}


def copies(images: NoiseImages, classes: int, count: int, used: Used) -> np.ndarray:
    """int32[]: every row of the table `count` times, or of the first images of each class only, as `used` says."""
    z = images.z
    table = np.arange(z.shape[0], dtype=np.int32).reshape(classes, -1)
    return np.repeat(table if used == "all" else table[:, : z.shape[-1]], count)


def rows(images: NoiseImages, batch: Batch) -> Batch:
    """The images at `batch.index`, which points into the table: the images in `batch` itself are not read."""
    return batch._replace(x=images.z[batch.index], y=images.labels[batch.index])
