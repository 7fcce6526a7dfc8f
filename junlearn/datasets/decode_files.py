"""From image files to arrays, and to what a person should know of them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from junlearn.datasets.config import Progress
from junlearn.datasets.pixels import Picture, picture
from junlearn.errors import ConfigError, DataError
from junlearn.types import Data, Sources

__all__ = ["ImageFile", "below", "decode", "stack"]

PROGRESS_EVERY = 100
DIFFER = "set dataset.image_size"

Size = tuple[int | None, int | None]
"""`image_size` and `crop` of a dataset."""


class ImageFile(NamedTuple):
    """An image and the name of its class."""

    path: Path
    label: str


def decode(
    root: Path,
    train: Sequence[ImageFile],
    test: Sequence[ImageFile],
    size: Size,
    progress: Progress | None,
) -> tuple[Sources, tuple[str, ...], tuple[str, ...]]:
    """`"train"` and `"test"`, the names of the classes, and remarks; `id` counts the images of both, train first.

    Raises ConfigError where images differ in size and no `image_size` is given, DataError for one that cannot be read
    and for a class without training images.
    """
    classes = sorted({image.label for image in [*train, *test]})
    untrained = set(classes) - {image.label for image in train}
    if untrained:
        raise DataError(f"no training images of {', '.join(sorted(untrained))}")
    files = [image.path for image in [*train, *test]]
    seen = (picture(path, *size) for path in files)
    pixels, remarks = stack([below(root, path) for path in files], seen, DIFFER, progress)
    numbers = {label: number for number, label in enumerate(classes)}
    y = np.array([numbers[image.label] for image in [*train, *test]], np.int32)
    whole = Data(x=pixels, y=y, id=np.arange(len(files), dtype=np.int32))
    sources = {"train": whole.take(slice(len(train))), "test": whole.take(slice(len(train), None))}
    return sources, tuple(classes), tuple(remarks)


def below(root: Path, path: Path) -> str:
    """How a file is called: by its path below `root`, or as it is where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def stack(
    names: Sequence[str],
    pictures: Iterator[Picture],
    remedy: str,
    progress: Progress | None = None,
) -> tuple[np.ndarray, list[str]]:
    """uint8[N,H,W,C], C = 1 where all images are grey, and remarks; there is at least one image.

    Raises ConfigError, which ends with the `remedy`, where they differ in size.
    """
    image = next(pictures)
    height, width = image.pixels.shape[:2]
    x = np.empty((len(names), height, width, 3), np.uint8)
    coloured: list[str] = []
    transparent: list[str] = []
    frames: list[str] = []
    lost: list[str] = []
    for row, name in enumerate(names):
        image = image if row == 0 else next(pictures)
        if image.pixels.shape[:2] != (height, width):
            found = image.pixels.shape[1::-1]
            raise ConfigError(
                f"images differ in size ({names[0]} {(width, height)}, {name} {found}): {remedy}"
            )
        # A grey image has equal red, green and blue.
        x[row] = image.pixels if image.pixels.ndim == 3 else image.pixels[..., None]
        marks = (image.pixels.ndim == 3, image.transparent, image.frames, image.lost)
        for told, marked in zip((coloured, transparent, frames, lost), marks, strict=True):
            told += [name] * marked
        done = row + 1
        if progress is not None and (done % PROGRESS_EVERY == 0 or done == len(names)):
            progress(done, len(names))
    remarks = [
        *_mixed(coloured, len(names)),
        *_said(transparent, len(names), "transparent pixels, which are shown on white"),
        *_said(frames, len(names), "several frames, of which the first is taken"),
        *_said(lost, len(names), "EXIF data that cannot be read, and are taken as they are stored"),
    ]
    return (x if coloured else np.ascontiguousarray(x[..., :1])), remarks


def _mixed(coloured: Sequence[str], count: int) -> Iterable[str]:
    """A line where some images are grey and some are not."""
    if 0 < len(coloured) <= count / 2:
        yield f"{_of(len(coloured), count)} colours ({_example(coloured)}): all are read as RGB"
    elif count / 2 < len(coloured) < count:
        grey = count - len(coloured)
        yield f"{grey:,} of {count:,} images {'is' if grey == 1 else 'are'} grey: all are read as RGB"


def _said(names: Sequence[str], count: int, what: str) -> Iterable[str]:
    if names:
        yield f"{_of(len(names), count)} {what} ({_example(names)})"


def _of(some: int, count: int) -> str:
    return f"{some:,} of {count:,} images {'has' if some == 1 else 'have'}"


def _example(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and others"
