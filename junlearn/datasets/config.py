"""What every dataset lets one configure, and how decoded arrays become a `Dataset`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from junlearn.datasets.cache import fingerprint
from junlearn.engine.augment import AUGMENTATIONS, CROP_PADDING, make_views
from junlearn.errors import ConfigError, unknown
from junlearn.fields import Count, ImageSize
from junlearn.types import Data, Dataset, Sources

__all__ = ["Augmentation", "DatasetConfig", "Progress", "assemble"]

Augmentation = Literal["none", "crop", "crop_flip", "crop_flip_rotate", "resized_crop_flip"]
"""See `junlearn.engine.augment.AUGMENTATIONS`."""

Progress = Callable[[int, int], None]
"""`(done, total)` examples decoded."""


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """The fields that all datasets share; raises ConfigError for values out of range."""

    data_dir: str | None = None
    """Where TFDS prepared its datasets; None: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    image_size: ImageSize | None = None
    """Side of the images that the network gets; None: as they are. With `crop` it is the shorter side of the
    images before they are cropped, whose proportions stay."""
    crop: ImageSize | None = None
    """Side of the central square of each image that the network gets; None: the whole image. `image_size = 256` with
    `crop = 224` is what torchvision does before its networks."""
    mean: tuple[float, ...] | None = None
    """Subtracted from pixels in [0, 1], one for each channel; None: the dataset's own."""
    std: tuple[float, ...] | None = None
    """Divides what is left; None: the dataset's own."""
    train_per_class: Count | None = None
    """Take only the first so many training images of each class, ordered by class and then by the dataset's own
    numbering; None: all, as they are."""
    test_per_class: Count | None = None
    """The same of the test images."""
    augmentation: Augmentation = "none"
    """What the view `augment` does to a training image."""
    crop_padding: Count = CROP_PADDING
    """Pixels that are padded on each side before a crop."""

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise ConfigError(f"dataset.image_size must be at least 1, not {self.image_size}")
        if None not in (self.crop, self.image_size) and self.crop > self.image_size:  # type: ignore[operator]
            raise ConfigError(
                f"dataset.crop {self.crop} must be at most dataset.image_size {self.image_size}"
            )
        if self.std is not None and not all(value > 0 for value in self.std):
            raise ConfigError(f"dataset.std must be positive, not {self.std}")
        if self.augmentation not in AUGMENTATIONS:
            raise unknown("augmentation", self.augmentation, AUGMENTATIONS)


def _statistics(
    field: str, given: Sequence[float] | None, default: Sequence[float], channels: int
) -> Sequence[float]:
    values = default if given is None else given
    if len(values) != channels:
        raise ConfigError(
            f"dataset.{field} has {len(values)} values, the images have {channels} channel(s)"
        )
    return values


def _first_of_each(data: Data, count: int | None, name: str, classes: int) -> Data:
    """The first `count` examples of every class by their ids (by their place, where they have none)."""
    if count is None:
        return data
    ids = np.arange(len(data.y)) if data.id is None else data.id
    order = np.lexsort((ids, data.y))
    labels = data.y[order]
    starts = np.searchsorted(labels, np.arange(classes))
    sizes = np.bincount(labels, minlength=classes)
    if sizes.min() < count:
        raise ConfigError(
            f"dataset.{name}_per_class is {count}, and class {int(sizes.argmin())} has {sizes.min()} images"
        )
    return data.take(order[(starts[:, None] + np.arange(count)).ravel()])


def assemble(
    config: DatasetConfig,
    *,
    name: str,
    version: str,
    digests: Mapping[str, str],
    sources: Sources,
    classes: tuple[str, ...],
    mean: Sequence[float],
    std: Sequence[float],
    fine_classes: tuple[str, ...] = (),
    sized: bool = False,
) -> Dataset:
    """A `Dataset` from decoded arrays; `config` may override the defaults `mean` and `std`.

    `digests` are those of the arrays in `sources`, which are resized and cropped already if `sized`. Raises ConfigError
    if the configuration does not fit the images.
    """
    channels = sources["train"].x.shape[-1]
    sizes = {"train": config.train_per_class, "test": config.test_per_class}
    sources = {n: _first_of_each(d, sizes[n], n, len(classes)) for n, d in sources.items()}
    part = "".join(f"-{name}-{size}" for name, size in sizes.items() if size is not None)
    mean = _statistics("mean", config.mean, mean, channels)
    std = _statistics("std", config.std, std, channels)
    side, crop = (None, None) if sized else (config.image_size, config.crop)
    shortest = side or min(sources["train"].x.shape[1:3])
    if crop is not None and crop > shortest:
        raise ConfigError(f"dataset.crop {crop} is more than the images have: {shortest}")
    return Dataset(
        name=name,
        version=version,
        fingerprint=fingerprint(digests) + part,
        sources=sources,
        views=make_views(mean, std, side, config.augmentation, config.crop_padding, crop),
        classes=classes,
        fine_classes=fine_classes,
        preprocessing={
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "image_size": config.image_size,
            "crop": config.crop,
        },
    )
