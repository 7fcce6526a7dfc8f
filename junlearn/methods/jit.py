"""JiT (just in time; Lipschitz regularisation): make the network's output insensitive to noise on the forget images.

Setting: forget images alone, without labels; no retain data. One pass over D_f in stored order.

    (1)  x'_n = x + sigma E_n,  E_n ~ N(0, I),  n = 1..N;  clip="batch", "image": cut to the range of the batch, image
    (2)  r(x) = (1/N) sum_n || f_theta(x) - f_theta(x'_n) ||_2 / || x - x'_n ||_2          logits, flattened images
    (3)  l = sum_{x in batch} r(x);   reduction="mean": their mean
    (4)  theta <- theta - eta g,  g = grad l;  accumulate_gradients: g the sum of the gradients of all batches so far
         k: only the last k weight layers move, in train mode if train_mode; k = -1: all

The distance in the denominator is the real one, after clipping. With the sum in equation 3 the way covered in a pass
does not depend on the batch size (to first order): a batch takes the paper's one-example steps at once.

Defaults (arXiv 2402.01401: no clipping, full gradient, plain SGD, eval mode; eta, sigma and the batch size of its
full-class VGG runs):

    learning_rate         0.0003
    sigma                 0.5
    perturbations         25
    epochs                1
    batch_size            128
    stop_gradient         False
    accumulate_gradients  False
    train_mode            False
    clip                  "none"
    reduction             "sum"
    k                     -1

As released is stop_gradient=True, accumulate_gradients=True, train_mode=True, clip="batch".

Deviations: the released code never clears the gradients, so the first of M batches counts M times (momentum 1.0); it
leaves dropout on, whose noise then hides that of the input; and it stops the gradient through the perturbed pass, which
is another method: for a linear f that gradient is noise of mean 0, while the full one shrinks the map. Each has a
field. Sigma and eta need care: nothing in the loss keeps the network useful. k is ours: steps in the first layers soon
ruin a small network, while in the last layers alone, with the gradient stopped, the outputs on D_f go to those on noise
and the features of the other classes stay.

Reference: Foster et al., TMLR 2025 (arXiv 2402.01401).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Count, Epochs, Positive
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, Loss, updater
from junlearn.parts.layers import last_layers
from junlearn.parts.optimizers import only
from junlearn.parts.passes import along_rows
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

__all__ = [
    "NEEDS",
    "PRESETS",
    "SPACE",
    "Config",
    "Noise",
    "State",
    "draw",
    "gaussian",
    "make",
    "objective",
    "sgd",
]

NEEDS = frozenset({"forget.x"})
State = Descent

TINY = 1e-12
"""Least distance of an image to its perturbed copy: what a perturbation of zero is divided by."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of JiT."""

    learning_rate: Positive = 3e-4
    """Eta of equation 4, plain SGD."""
    sigma: Positive = 0.5
    """Standard deviation of the noise, in normalised image values."""
    perturbations: Count = 25
    """N of equation 2."""
    epochs: Epochs = 1
    batch_size: BatchSize = 128
    stop_gradient: bool = False
    """No gradient through the perturbed pass, as released."""
    accumulate_gradients: bool = False
    """Never clear the gradients, as released."""
    train_mode: bool = False
    """Dropout on and BatchNorm with the statistics of the batch, as released."""
    clip: Literal["batch", "image", "none"] = "none"
    """Cut perturbed images to the range of values of the batch (as released) or of the image."""
    reduction: Literal["sum", "mean"] = "sum"
    """Over the images of a batch."""
    k: int = -1
    """How many weight layers at the end are trained, as `Model.depths` counts them; -1: all."""


# The released rates go from 3e-4 for VGG to 1.5 for a vision transformer, whose outputs move little.
SPACE: Space = {
    "learning_rate": Range(1e-5, 1.5, log=True),
    "sigma": Range(0.01, 2.0, log=True),
    "epochs": Range(1, 5),
}

PRESETS = {
    "jit_released": Preset(
        "JiT as its code does it: gradients are never cleared, train mode, images cut to the batch",
        {
            "stop_gradient": True,
            "accumulate_gradients": True,
            "train_mode": True,
            "clip": "batch",
        },
    ),
}
"""The released code, which differs from the paper's equations."""


class Noise(NamedTuple):
    """The random part of a step."""

    clean: Key
    """Dropout of the clean pass."""
    perturbed: Key
    """Key[N]: dropout of the perturbed passes."""
    source: PyTree
    """Leading axis N: what the perturbations are made of, keys or the perturbations themselves."""


def draw(key: Key, perturbations: int) -> Noise:
    """All keys of a step."""
    clean, perturbed, source = jax.random.split(key, 3)
    return Noise(
        clean,
        jax.random.split(perturbed, perturbations),
        jax.random.split(source, perturbations),
    )


def gaussian(key: Key, batch: Batch) -> Array:
    """E_n for the images of a batch; that of an image depends on its index, not on the batch around it."""

    def one(index: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, index), (batch.x[0].size,), batch.x.dtype)

    return jax.vmap(one)(batch.index).reshape(batch.x.shape)


def objective(
    config: Config, model: Model, perturbation: Callable[[PyTree, Batch], Array] = gaussian
) -> Loss:
    """Equations 1 to 3; `perturbation(source, batch)` makes E_n of one entry of `Noise.source`.

    The perturbed passes are made one after the other and made again for the gradient: memory for two passes, not for N.
    With `stop_gradient` there is no gradient through them, and they are made once.
    """
    trained = last_layers(model, config.k) or True

    def clip(x: Array, perturbed: Array, mask: Array) -> Array:
        if config.clip == "none":
            return perturbed
        first = 0 if config.clip == "batch" else 1
        axes = tuple(range(first, x.ndim))
        valid = jnp.broadcast_to(along_rows(mask, x), x.shape)
        valid = valid if config.clip == "batch" else jnp.ones_like(valid)
        low = jnp.min(x, axes, keepdims=True, where=valid, initial=jnp.inf)
        high = jnp.max(x, axes, keepdims=True, where=valid, initial=-jnp.inf)
        # A copy for every image: the shapes of clip's arguments must be the same.
        low, high = (jnp.broadcast_to(bound, x.shape) for bound in (low, high))
        return jnp.clip(perturbed, low, high)

    def loss(
        params: PyTree, state: State, batch: Batch, noise: Noise
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        def forward(variables: Variables, x: Array, key: Key) -> tuple[Array, PyTree]:
            if not config.train_mode:
                return model.apply(variables, x)[0], variables.stats
            logits, _, stats = model.apply(variables, x, train=trained, key=key, mask=batch.mask)
            return logits, stats

        def reduce(values: Array) -> Array:
            if config.reduction == "mean":
                return losses.masked_mean(values, batch.mask)
            return jnp.where(batch.mask, values, 0).sum()

        variables = Variables(params, state.variables.stats)
        clean, stats = forward(variables, batch.x, noise.clean)
        weights = params
        if config.stop_gradient:
            weights, stats = jax.lax.stop_gradient((params, stats))

        def perturbed(stats: PyTree, draws: tuple[Key, PyTree]) -> tuple[PyTree, tuple[Array, ...]]:
            key, source = draws
            moved = batch.x + config.sigma * perturbation(source, batch)  # (1)
            moved = clip(batch.x, moved, batch.mask)
            logits, stats = forward(Variables(weights, stats), moved, key)
            output = _distance(clean, logits)
            image = _distance(batch.x, moved)
            ratio = output / jnp.maximum(image, TINY)  # (2)
            return stats, (reduce(ratio), reduce(image), reduce(output))

        one = perturbed if config.stop_gradient else jax.checkpoint(perturbed)
        stats, sums = jax.lax.scan(one, stats, (noise.perturbed, noise.source))
        value, image, output = (part.mean() for part in sums)  # (3)
        return value, (stats, {"in_norm": image, "out_norm": output})

    return loss


def _distance(a: Array, b: Array) -> Array:
    """Euclidean distance of the rows of two arrays [B,...] in at least float32, with gradient 0 where it is 0."""
    precision = jnp.promote_types(a.dtype, jnp.float32)
    difference = (a.astype(precision) - b.astype(precision)).reshape(a.shape[0], -1)
    squares = jnp.square(difference).sum(axis=1)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def sgd(config: Config, model: Model) -> optax.GradientTransformation:
    """Equation 4. Raises ConfigError where no layers of the model hold exactly k weight layers."""
    tx = optax.sgd(config.learning_rate, momentum=1.0 if config.accumulate_gradients else None)
    layers = last_layers(model, config.k)
    return tx if layers is None else only(tx, layers)


def make(config: Config, model: Model) -> Method:
    """One pass of plain gradient descent over the forget set."""
    tx = sgd(config, model)
    update = updater(objective(config, model), tx)

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        return update(state, batch, draw(key, config.perturbations))

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del sources, split
        return descent.init(key, variables, tx)

    def plan(split: Split) -> list[Stage]:
        def feed(rng: np.random.Generator, state: State) -> Feed:
            del rng, state
            return feeds.sequential(split.forget, config.batch_size)

        return [Stage("smooth", step, feed, config.epochs)]

    return Method(init, plan, lambda state: state.variables)
