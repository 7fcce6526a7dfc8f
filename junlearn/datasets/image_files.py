"""From a list of image files, whoever made it, to a dataset: they are decoded, and the arrays kept in the cache."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from junlearn.datasets.cache import Cached, cached, digests, identify
from junlearn.datasets.config import DatasetConfig, Progress, assemble
from junlearn.datasets.decode_files import ImageFile, below, decode
from junlearn.datasets.pixels import DECODING
from junlearn.datasets.stock import statistics_of
from junlearn.types import Dataset, Sources

__all__ = ["Files", "load"]


class Files(NamedTuple):
    """The images of a dataset."""

    name: str
    """Of the dataset."""
    root: Path
    """The folder that they are named from."""
    train: list[ImageFile]
    """In the order that the dataset has them in."""
    test: list[ImageFile]
    apart: str
    """What a test image is, for messages."""
    names: tuple[str, ...] = ()
    """What a request names each image by, those of `test` after those of `train`; empty: by `ids`."""
    ids: tuple[int, ...] = ()
    """The number of each image, in the same order; empty: its place there."""
    remarks: tuple[str, ...] = ()
    """What a person should know of the list, a line each."""


def load(
    config: DatasetConfig,
    files: Files,
    kind: str,
    cache_dir: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Decode the images, or read them from their cache, whose name says the `kind` of the list.

    With `image_size` and `crop` they are resized and cropped when they are decoded. Colour images are normalised by
    ImageNet's statistics, grey ones are only scaled to [0, 1].

    Raises ConfigError where images differ in size and no `image_size` is given, DataError for one that cannot be read
    and for a class without training images.
    """
    identity = identify(
        _states(files),
        config.image_size,
        DECODING,
        *(() if config.crop is None else (config.crop,)),
        *((files.ids,) if files.ids else ()),
    )

    def decode_all() -> Cached:
        sources, classes, remarks = decode(
            files.root, files.train, files.test, (config.image_size, config.crop), progress
        )
        if files.ids:
            sources = _numbered(sources, files.ids)
        return Cached(
            name=files.name,
            version=identity,
            identity=identity,
            source=str(files.root),
            sources=sources,
            digests=digests(sources),
            classes=classes,
            remarks=remarks,
        )

    content = cached(
        decode_all, name=files.name, version=kind, identity=identity, cache_dir=cache_dir
    )
    mean, std = statistics_of(content.sources["train"].x.shape[-1])
    return assemble(
        config,
        name=content.name,
        version=content.version,
        digests=content.digests,
        sources=content.sources,
        classes=content.classes,
        mean=mean,
        std=std,
        sized=True,
    )._replace(
        names=files.names,
        root=str(files.root),
        apart={"test": files.apart},
        remarks=files.remarks + content.remarks,
    )


def _numbered(sources: Sources, ids: tuple[int, ...]) -> Sources:
    first = len(sources["train"].y)
    numbers = np.array(ids, np.int32)
    parts = {"train": numbers[:first], "test": numbers[first:]}
    return {name: data._replace(id=parts[name]) for name, data in sources.items()}


def _states(files: Files) -> list[tuple[str, str, str, int, int]]:
    """Split, class, name, size and time of change of every file: what the cache is keyed by."""
    states = []
    for split, images in (("train", files.train), ("test", files.test)):
        for image in images:
            status = image.path.stat()
            name = below(files.root, image.path)
            states.append((split, image.label, name, status.st_size, status.st_mtime_ns))
    return states
