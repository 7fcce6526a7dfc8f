"""Images in one folder a class: `train` with `test` or `val` beside it, or one tree to divide.

Tiny-ImageNet is read as it is distributed: the test images are those of `val/images`, whose classes are in
`val/val_annotations.txt`, and the unlabelled images of `test` are left out.
"""

import hashlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from junlearn.datasets.cache import Cached, cached, digests, identify
from junlearn.datasets.config import DatasetConfig, Progress, assemble
from junlearn.datasets.stock import IMAGENET_STATISTICS, UNIT_STATISTICS
from junlearn.errors import ConfigError, DataError
from junlearn.fields import Fraction
from junlearn.types import Data, Dataset, Sources

__all__ = ["Config", "make"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
GREY_MODES = frozenset({"1", "L", "LA"})
DEEP_MODES = ("I", "F")
PROGRESS_EVERY = 100

ANNOTATIONS = "val_annotations.txt"
"""Of Tiny-ImageNet's `val`: name of a file in `images`, its class and a box a line, with tabs between them."""


class ImageFile(NamedTuple):
    """An image and the name of its class."""

    path: Path
    label: str


@dataclass(frozen=True, kw_only=True)
class Config(DatasetConfig):
    """A folder of images; `data_dir` is not read.

    With `image_size` the images are resized when they are decoded (Pillow, bilinear with
    antialias). Colour images are normalised by ImageNet's statistics, grey ones are only scaled to
    [0, 1].
    """

    path: str = ""
    """The folder that holds `train` and `test` (or `val`), or the folders of the classes; Tiny-ImageNet's as well."""
    test_fraction: Fraction = 0.2
    """Of a single tree, about which part becomes `test`: a hash of each file's name decides."""


def make(
    config: Config, *, cache_dir: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Load the folder `config.path`; classes are the folders' names, sorted, `Dataset.names` the paths of the images.

    Raises ConfigError without a path, or where images differ in size and no `image_size` is given;
    DataError if the folder is missing, has no images, or has one that cannot be read, and if the annotations of
    Tiny-ImageNet do not fit its images.
    """
    if not config.path:
        raise ConfigError("dataset.path is empty; image_folder needs a folder of images")
    if not 0 <= config.test_fraction < 1:
        raise ConfigError(f"dataset.test_fraction must be in [0, 1), not {config.test_fraction}")
    root = Path(config.path).expanduser().absolute()
    splits = _list_splits(root, config.test_fraction)
    if not splits["train"]:
        raise DataError(f"{root} has no training images (test_fraction is {config.test_fraction})")
    identity = identify(_states(root, splits), config.image_size)

    def decode() -> Cached:
        sources, classes = _decode(splits, config.image_size, progress)
        return Cached(
            name=root.name,
            version=identity,
            identity=identity,
            source=str(root),
            sources=sources,
            digests=digests(sources),
            classes=classes,
        )

    content = cached(
        decode, name=root.name, version="folder", identity=identity, cache_dir=cache_dir
    )
    grey = content.sources["train"].x.shape[-1] == 1
    mean, std = UNIT_STATISTICS if grey else IMAGENET_STATISTICS
    return assemble(
        config,
        name=content.name,
        version=content.version,
        digests=content.digests,
        sources=content.sources,
        classes=content.classes,
        mean=mean,
        std=std,
    )._replace(names=tuple(image.path.relative_to(root).as_posix() for image in splits["train"]))


def _list_splits(root: Path, test_fraction: float) -> dict[str, list[ImageFile]]:
    """The images of `train` and `test`, each sorted by class and name."""
    if not root.is_dir():
        raise DataError(f"image_folder: there is no folder {root}")
    if (root / "train").is_dir():
        if (root / "val" / ANNOTATIONS).is_file():
            train = _list_images(root / "train")
            known = {image.label for image in train}
            return {"train": train, "test": _list_annotated(root / "val", known)}
        test = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
        if test is None:
            raise DataError(f"{root} has a folder train, and neither test nor val beside it")
        if _classes(test) == [test / "images"] and not (root / "train" / "images").is_dir():
            raise DataError(
                f"{test} has no class folders but images, as in Tiny-ImageNet, "
                f"and {root / 'val' / ANNOTATIONS} is missing"
            )
        return {"train": _list_images(root / "train"), "test": _list_images(test)}
    splits: dict[str, list[ImageFile]] = {"train": [], "test": []}
    for image in _list_images(root):
        name = image.path.relative_to(root).as_posix().encode()
        drawn = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) / 2**64
        splits["test" if drawn < test_fraction else "train"].append(image)
    return splits


def _states(root: Path, splits: dict[str, list[ImageFile]]) -> list[tuple[str, str, str, int, int]]:
    """Split, class, name, size and time of change of every file: what the cache is keyed by."""
    states = []
    for split, images in splits.items():
        for image in images:
            status = image.path.stat()
            name = image.path.relative_to(root).as_posix()
            states.append((split, image.label, name, status.st_size, status.st_mtime_ns))
    return states


def _classes(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _list_images(folder: Path) -> list[ImageFile]:
    """`<class>/**/<image>` below `folder`, sorted; every class must have an image."""
    classes = _classes(folder)
    if not classes:
        raise DataError(f"{folder} has no class folders")
    images = []
    for label in classes:
        paths = sorted(p for p in label.rglob("*") if _is_image(p))
        if not paths:
            raise DataError(f"the class folder {label} has no images")
        images += [ImageFile(path, label.name) for path in paths]
    return images


def _list_annotated(folder: Path, known: Set[str]) -> list[ImageFile]:
    """The images in `folder/images` with their classes in `folder/val_annotations.txt`, sorted by class and name.

    Raises DataError for a line that cannot be read, names no file or a class that is not `known`, and for an image
    without a line of its own.
    """
    annotations = folder / ANNOTATIONS
    try:
        lines = annotations.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise DataError(f"{annotations} cannot be read: {error}") from error
    labels: dict[Path, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, label, *_ = [part.strip() for part in line.split("\t")] + [""]
        here = f"{annotations}, line {number}"
        if not name or not label:
            raise DataError(f"{here}: needed are a file and its class with a tab between them")
        if label not in known:
            raise DataError(f"{here}: unknown class {label!r}; train has no folder of this name")
        path = folder / "images" / name
        if path in labels:
            raise DataError(f"{here}: {name} has a line already")
        if not path.is_file():
            raise DataError(f"{here}: there is no file {path}")
        labels[path] = label
    images = folder / "images"
    unlabelled = [p for p in sorted(images.rglob("*")) if _is_image(p) and p not in labels]
    if unlabelled:
        raise DataError(f"{annotations} has no line for {unlabelled[0].relative_to(images)}")
    return [ImageFile(path, label) for path, label in sorted(labels.items(), key=_by_class)]


def _by_class(labelled: tuple[Path, str]) -> tuple[str, Path]:
    return labelled[1], labelled[0]


def _decode(
    splits: dict[str, list[ImageFile]], image_size: int | None, progress: Progress | None
) -> tuple[Sources, tuple[str, ...]]:
    """Decode the images into arrays, and the names of the classes."""
    classes = sorted({image.label for image in [*splits["train"], *splits["test"]]})
    untrained = set(classes) - {image.label for image in splits["train"]}
    if untrained:
        raise DataError(f"no training images of {', '.join(sorted(untrained))}")
    files = [image.path for images in splits.values() for image in images]
    width, height, mode = _common_format(files, image_size)
    channels = 1 if mode == "L" else 3
    done = 0
    sources = {}
    for split, images in splits.items():
        x = np.empty((len(images), height, width, channels), np.uint8)
        for row, image in enumerate(images):
            x[row] = _pixels(image.path, mode, (width, height)).reshape(x.shape[1:])
            done += 1
            if progress is not None and (done % PROGRESS_EVERY == 0 or done == len(files)):
                progress(done, len(files))
        y = np.array([classes.index(image.label) for image in images], np.int32)
        sources[split] = Data(x=x, y=y, id=np.arange(len(images), dtype=np.int32))
    return sources, tuple(classes)


def _common_format(files: list[Path], image_size: int | None) -> tuple[int, int, str]:
    """(width, height, mode) that all images are brought to; reads no more than their headers."""
    first: tuple[Path, tuple[int, int]] | None = None
    grey = True
    for path in files:
        with _readable(path), Image.open(path) as image:
            size, mode = image.size, image.mode
        if mode.startswith(DEEP_MODES):
            raise DataError(f"{path} has more than 8 bits a channel (mode {mode})")
        grey = grey and mode in GREY_MODES
        first = first or (path, size)
        if image_size is None and size != first[1]:
            raise ConfigError(
                f"images differ in size ({first[0]} {first[1]}, {path} {size}): "
                "set dataset.image_size"
            )
    if first is None:
        raise DataError("there are no images")
    width, height = first[1] if image_size is None else (image_size, image_size)
    return width, height, "L" if grey else "RGB"


def _pixels(path: Path, mode: str, size: tuple[int, int]) -> np.ndarray:
    with _readable(path), Image.open(path) as image:
        converted = image.convert(mode)
        if converted.size != size:
            converted = converted.resize(size, Image.Resampling.BILINEAR)
        return np.asarray(converted)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file in whatever Pillow stumbles over."""
    try:
        yield
    except Exception as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error
