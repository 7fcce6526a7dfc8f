"""Poisoning: some training images carry a trigger and the label that it is to call for (a backdoor).

Corrective Machine Unlearning (Goel et al., TMLR 2024, arXiv 2402.14015). The trigger is a square in the lower right
corner of every channel, as bright as the brightest channel of any normalised training image; it is put on after
augmentation and normalisation, on the device, and so is neither shifted, mirrored nor stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count
from junlearn.memo import remembered
from junlearn.scenarios.class_names import ClassName, resolve
from junlearn.scenarios.manipulation import Manipulation, check_size, manipulate, orders
from junlearn.types import Array, Data, Dataset, Key, Split, View

__all__ = ["Config", "brightest", "split", "triggered_views"]


@dataclass(frozen=True, kw_only=True)
class Config(Manipulation):
    """How many images are poisoned, how many of them are known, and with what."""

    target: ClassName = 0
    """Number or name of the class that the trigger calls for. Images of this class are poisoned too."""
    patch: Count = 3
    """Side of the trigger in pixels of the network's input."""


def split(config: Config, dataset: Dataset, key: Key) -> tuple[Dataset, Split]:
    """The poisoned dataset, with views that show the trigger, and the Split that forgets the known part.

    No test example is like the forgotten ones, so `forget_test` is empty. The views beside "eval" and "augment":
    "clean" shows no image with the trigger, "triggered" every one.
    """
    train = dataset.sources["train"]
    check_size(config, train.y.size, "training examples")
    height, width, _ = dataset.input_shape
    if config.patch > min(height, width):
        raise ConfigError(f"patch is {config.patch}, and the network sees {height}×{width} pixels")
    (target,) = resolve([config.target], dataset.classes, "class")
    drawn = orders(config, train.y.size, key)
    # In ascending order: the released rule for S_f.
    rows = np.sort(drawn.examples[: config.manipulated])
    views = triggered_views(dataset.views, brightest(dataset), config.patch)
    made, chosen = manipulate(
        config, dataset, key, rows, np.full(rows.size, target), drawn.manipulated
    )
    marks = np.zeros(train.y.size, bool)
    marks[rows] = True
    sources = made.sources | {"train": made.sources["train"]._replace(triggered=marks)}
    return made._replace(sources=sources, views=views), chosen._replace(target=target)


def brightest(dataset: Dataset) -> float:
    """The largest value that any channel of a training image takes after normalisation."""
    x = dataset.sources["train"].x
    # Normalisation rises with the pixel, and resizing leaves an image of one colour as it is.
    image = np.broadcast_to(x.max(axis=(0, 1, 2)), (1, *x.shape[1:]))
    rows = Data(jnp.asarray(image), jnp.zeros(1, jnp.int32))
    return float(dataset.views["eval"](rows, jax.random.split(jax.random.key(0), 1)).max())


def triggered_views(views: Mapping[str, View], value: float, patch: int) -> dict[str, View]:
    """`views` with the trigger on the images that are marked, and the views "clean" and "triggered" beside them."""
    marked = {name: _stamped(view, value, patch, False) for name, view in views.items()}
    everywhere = _stamped(views["eval"], value, patch, True)
    return marked | {"clean": views["eval"], "triggered": everywhere}


@remembered
def _stamped(view: View, value: float, patch: int, everywhere: bool) -> View:
    """`view` with the trigger on the images that are marked, or on all of them."""

    def shown(rows: Data, keys: Key) -> Array:
        x = view(rows, keys)
        marks = jnp.ones(x.shape[0], bool) if everywhere else rows.triggered
        if marks is None:
            return x
        corner = jnp.zeros(x.shape[1:], bool).at[-patch:, -patch:].set(True)
        return jnp.where(marks[:, None, None, None] & corner[None], value, x)

    return shown
