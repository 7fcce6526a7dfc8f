"""Surrogate images: data of another kind that a retain-free method distils on, beside the dataset of the experiment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.datasets import DATASETS
from junlearn.datasets.cache import digests, fingerprint
from junlearn.engine.augment import resize
from junlearn.errors import ConfigError
from junlearn.fields import Count, Seed
from junlearn.memo import remembered
from junlearn.types import Array, Component, Data, Dataset, Key, View

__all__ = ["SURROGATES", "NoiseConfig", "attach", "of_dataset"]

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Independent standard normal pixels, which a network gets as they are (SCAR: 10,000 images)."""

    count: Count = 10_000
    seed: Seed = 0


def _noise(
    config: NoiseConfig,
    *,
    input_shape: tuple[int, int, int],
    cache_dir: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    del cache_dir, progress
    rng = np.random.default_rng(config.seed)
    x = rng.standard_normal((config.count, *input_shape), np.float32)
    sources = {"train": Data(x, np.zeros(config.count, np.int32))}

    views = {"eval": _as_it_is, "augment": _as_it_is}
    return Dataset("gaussian_noise", "1", fingerprint(digests(sources)), sources, views, ())


def _as_it_is(rows: Data, keys: Key) -> Array:
    del keys
    return rows.x


@remembered
def of_dataset(component: Component) -> Component:
    """A dataset as a source of surrogate images: its `make` takes the `input_shape` of the network too."""

    def make(config: Any, *, input_shape: tuple[int, int, int], **options: Any) -> Dataset:
        del input_shape
        return component.make(config, **options)

    # The source of the images is what the dataset is made of.
    make.__wrapped__ = component.make  # type: ignore[attr-defined]
    return component._replace(make=make)


SURROGATES: dict[str, Component] = {
    name: of_dataset(component) for name, component in DATASETS.items()
} | {"gaussian_noise": Component("standard normal pixels", NoiseConfig, _noise)}
"""Where surrogate images come from; `make(config, *, input_shape, cache_dir, progress) -> Dataset`."""


def attach(dataset: Dataset, surrogate: Dataset) -> Dataset:
    """`dataset` with the training images of `surrogate` as the source "surrogate", and views of their own.

    They are normalised by the surrogate's constants and augmented as it says, then brought to the size and the number
    of channels that the network takes. Their labels are never read: all are 0.
    Raises ConfigError for a number of channels that is neither one nor three.
    """
    images = surrogate.sources["train"].x
    labels = np.zeros(len(images), np.int32)
    shape = dataset.input_shape
    views = {
        f"surrogate/{name}": _fitted(surrogate.views[name], shape) for name in ("eval", "augment")
    }
    return dataset._replace(
        sources={**dataset.sources, "surrogate": Data(images, labels)},
        views={**dataset.views, **views},
    )


@remembered
def _fitted(view: View, shape: tuple[int, int, int]) -> View:
    """`view` with its images brought to `shape` (H, W, C)."""
    height, width, channels = shape

    def shown(rows: Data, keys: Key) -> Array:
        x = view(rows, keys)
        if x.shape[1:3] != (height, width):
            x = resize(x, (height, width))
        given = x.shape[-1]
        if (given, channels) == (1, 3):
            return jnp.broadcast_to(x, (*x.shape[:-1], 3))
        if (given, channels) == (3, 1):
            weights = jnp.asarray(LUMINANCE, x.dtype)[:, None]
            return jnp.matmul(x, weights, precision=jax.lax.Precision.HIGHEST)
        if given != channels:
            raise ConfigError(f"surrogate images have {given} channels, the dataset {channels}")
        return x

    return shown
