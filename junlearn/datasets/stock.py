"""The stock TFDS image sets and any other prepared TFDS directory, as entries of the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from junlearn.datasets import labels
from junlearn.datasets.cache import digests, fingerprint
from junlearn.datasets.config import Augmentation, DatasetConfig, Progress, assemble
from junlearn.datasets.holdout import check_fraction
from junlearn.datasets.tfds import FILE_FORMAT, VERSION, Prepared, read, tfds_data_dir
from junlearn.errors import ConfigError, DataError
from junlearn.fields import Fraction
from junlearn.types import Component, Data, Dataset, Sources

__all__ = [
    "COMPONENTS",
    "STOCK",
    "CifarConfig",
    "DirectoryConfig",
    "MnistConfig",
    "PatchCamelyonConfig",
    "Stock",
    "SvhnConfig",
    "make_directory",
    "make_stock",
    "prepare_command",
    "statistics_of",
]

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, pixels in [0, 1]."""

UNIT_STATISTICS: Statistics = ((0.0,), (1.0,))
CIFAR_STATISTICS: Statistics = (
    (0.5070751592371323, 0.48654887331495095, 0.4409178433670343),
    (0.2673342858792401, 0.2564384629170883, 0.27615047132568404),
)
"""CIFAR-100's training set; SSD and JiT use them for every dataset."""
SVHN_STATISTICS: Statistics = ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))
"""SVHN's training set, as commonly used; LAF normalises SVHN by ImageNet's."""
IMAGENET_STATISTICS: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def statistics_of(channels: int) -> Statistics:
    """Those of images that nobody has measured: ImageNet's of colour images; others are only scaled to [0, 1]."""
    return IMAGENET_STATISTICS if channels == 3 else ((0.0,) * channels, (1.0,) * channels)


@dataclass(frozen=True, kw_only=True)
class MnistConfig(DatasetConfig):
    """MNIST and Fashion-MNIST: pixels in [0, 1] and no augmentation, as in LAF and CaMU."""


@dataclass(frozen=True, kw_only=True)
class CifarConfig(DatasetConfig):
    """CIFAR: normalised by the CIFAR-100 statistics (SSD, JiT); pad 4, crop, mirror."""

    augmentation: Augmentation = "crop_flip"


@dataclass(frozen=True, kw_only=True)
class SvhnConfig(DatasetConfig):
    """SVHN: normalised by its own statistics; pad 4, crop, and no mirror images of digits."""

    augmentation: Augmentation = "crop"


@dataclass(frozen=True, kw_only=True)
class PatchCamelyonConfig(DatasetConfig):
    """PatchCamelyon: pixels from -1 to 1; pad 4, crop, mirror (corrective unlearning)."""

    augmentation: Augmentation = "crop_flip"


@dataclass(frozen=True, kw_only=True)
class DirectoryConfig(DatasetConfig):
    """Any prepared TFDS dataset with features `image` and `label`.

    Colour images are normalised by ImageNet's statistics, grey ones are only scaled to [0, 1].
    """

    path: str = ""
    """The directory that holds dataset_info.json, or the one above it. A relative path that does not exist is looked
    for below `data_dir`."""
    test_fraction: Fraction = 0.0
    """Of a single split, the last part that becomes `test`; TFDS has shuffled the examples."""


class Stock(NamedTuple):
    """What the library knows about a dataset that TFDS can prepare."""

    tfds_name: str
    summary: str
    Config: type[DatasetConfig]
    statistics: Statistics
    classes: tuple[str, ...]
    fine_classes: tuple[str, ...] = ()
    columns: Mapping[str, str] = {"y": "label"}
    """Which feature each field takes in the cache."""
    crop: int | None = None
    """Side of the central square that is kept of each image; None: the whole image."""


CIFAR100_COLUMNS = {"y": "coarse_label", "fine": "label"}
"""CIFAR-100 and CIFAR-20 share one cache."""

STOCK: dict[str, Stock] = {
    "mnist": Stock(
        "mnist",
        "handwritten digits, 28x28 grey, 10 classes, 60,000/10,000",
        MnistConfig,
        UNIT_STATISTICS,
        labels.DIGITS,
    ),
    "fashion_mnist": Stock(
        "fashion_mnist",
        "articles of clothing, 28x28 grey, 10 classes, 60,000/10,000",
        MnistConfig,
        UNIT_STATISTICS,
        labels.FASHION_MNIST,
    ),
    "cifar10": Stock(
        "cifar10",
        "photographs, 32x32 RGB, 10 classes, 50,000/10,000",
        CifarConfig,
        CIFAR_STATISTICS,
        labels.CIFAR10,
    ),
    "cifar100": Stock(
        "cifar100",
        "photographs, 32x32 RGB, 100 classes, 50,000/10,000",
        CifarConfig,
        CIFAR_STATISTICS,
        labels.CIFAR100,
        columns=CIFAR100_COLUMNS,
    ),
    "cifar20": Stock(
        "cifar100",
        "CIFAR-100 with its 20 super-classes as labels, for sub-class unlearning",
        CifarConfig,
        CIFAR_STATISTICS,
        labels.CIFAR20,
        labels.CIFAR100,
        columns=CIFAR100_COLUMNS,
    ),
    "svhn_cropped": Stock(
        "svhn_cropped",
        "house numbers, 32x32 RGB, 10 classes, 73,257/26,032 (without `extra`)",
        SvhnConfig,
        SVHN_STATISTICS,
        labels.DIGITS,
    ),
    "patch_camelyon": Stock(
        "patch_camelyon",
        "lymph node tissue, central 32x32 of 96x96 RGB, 2 classes, 262,144/32,768",
        PatchCamelyonConfig,
        ((0.5,) * 3, (0.5,) * 3),
        labels.PATCH_CAMELYON,
        crop=32,
    ),
}


def prepare_command(name: str, data_dir: Path) -> str:
    """The command that prepares `name` in `data_dir`."""
    return f"python -m junlearn.main prepare {name} --data-dir {data_dir}"


def make_stock(
    name: str,
    config: DatasetConfig,
    *,
    cache_dir: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load an entry of `STOCK`; a DataError says how to prepare it if it is not there."""
    stock = STOCK[name]
    data_dir = tfds_data_dir(config.data_dir)
    content = read(
        stock.tfds_name,
        data_dir / stock.tfds_name,
        columns=stock.columns,
        splits=lambda prepared: {"train": "train", "test": "test"},
        remedy=prepare_command(stock.tfds_name, data_dir),
        cache_dir=cache_dir,
        progress=progress,
        crop=stock.crop,
    )
    sources, of_arrays = content.sources, dict(content.digests)
    if "fine" in stock.columns and not stock.fine_classes:
        sources = {split: data._replace(y=data.fine, fine=None) for split, data in sources.items()}
        for split in sources:
            of_arrays[f"{split}/y"] = of_arrays.pop(f"{split}/fine")
    mean, std = stock.statistics
    return assemble(
        config,
        name=name,
        version=content.version,
        digests=of_arrays,
        sources=sources,
        classes=stock.classes,
        fine_classes=stock.fine_classes,
        mean=mean,
        std=std,
    )._replace(decoded=fingerprint(content.digests))


def make_directory(
    config: DirectoryConfig, *, cache_dir: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Load the dataset that TFDS prepared in `config.path`.

    `train` is the split of that name, `test` the split `test`, else `validation`. A single split is
    `train`, and its last `test_fraction` is `test` (none of it by default: a surrogate set needs no
    test).
    Raises ConfigError without a path, DataError if there is no such dataset or if it is damaged.
    """
    if not config.path:
        raise ConfigError("dataset.path is empty; tfds_directory needs a prepared TFDS directory")
    check_fraction(config.test_fraction)
    given = Path(config.path).expanduser()
    prepared = tfds_data_dir(config.data_dir) / given
    root = (given if given.exists() or not prepared.exists() else prepared).absolute()
    content = read(
        root.parent.name if VERSION.fullmatch(root.name) else root.name,
        root,
        columns={"y": "label"},
        splits=_choose_splits,
        remedy=f'TFDS has to prepare it, with file_format="{FILE_FORMAT}"',
        cache_dir=cache_dir,
        progress=progress,
    )
    sources, of_arrays = content.sources, content.digests
    if "test" not in sources:
        sources = _hold_out(sources["train"], config.test_fraction)
        of_arrays = digests(sources)
    mean, std = statistics_of(sources["train"].x.shape[-1])
    return assemble(
        config,
        name=content.name,
        version=content.version,
        digests=of_arrays,
        sources=sources,
        classes=content.classes,
        mean=mean,
        std=std,
    )._replace(decoded=fingerprint(content.digests))


def _choose_splits(prepared: Prepared) -> dict[str, str]:
    names = list(prepared.splits)
    if len(names) == 1:
        return {"train": names[0]}
    test = "test" if "test" in names else "validation"
    if "train" not in names or test not in names:
        raise DataError(
            f"{prepared.directory} has the splits {', '.join(names)}; needed: "
            "train, and test or validation"
        )
    return {"train": "train", "test": test}


def _hold_out(data: Data, fraction: float) -> Sources:
    first = len(data.y) - round(fraction * len(data.y))
    return {"train": data.take(slice(None, first)), "test": data.take(slice(first, None))}


COMPONENTS: dict[str, Component] = {
    name: Component(stock.summary, stock.Config, partial(make_stock, name))
    for name, stock in STOCK.items()
} | {
    "tfds_directory": Component(
        "any prepared TFDS directory with features image and label", DirectoryConfig, make_directory
    )
}
