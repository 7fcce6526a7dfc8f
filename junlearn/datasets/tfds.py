"""Datasets that TensorFlow Datasets prepared: read by random access, without TensorFlow.

A directory is found, checked and identified without importing TFDS; `decode_prepared` alone imports
it. So a dataset that is in the cache needs neither TFDS nor even its directory.
"""

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from junlearn.datasets.cache import Cached, cached, digests, identify, load_orphan
from junlearn.datasets.config import Progress
from junlearn.datasets.tfds_metadata import check_features, shard_names
from junlearn.errors import DataError
from junlearn.types import Data, Sources

__all__ = [
    "FILE_FORMAT",
    "VERSION",
    "Prepared",
    "decode_prepared",
    "find_prepared",
    "read",
    "tfds_data_dir",
]

FILE_FORMAT = "array_record"
"""The format that TFDS must write: its default, tfrecord, has no random access."""

DECODE_BATCH = 512
VERSION = re.compile(r"\d+\.\d+\.\d+")
"""The name of a directory that TFDS prepared."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError)
"""What reading metadata that are not as TFDS writes them ends with."""

TRAILING_NUMBER = re.compile(rb"(?<!\d)\d{1,9}$")


class Prepared(NamedTuple):
    """A directory `<data_dir>/<name>/<version>` that TFDS wrote, as its metadata describe it."""

    directory: Path
    version: str
    file_format: str
    splits: dict[str, list[Path]]
    """The shard files of each split."""
    identity: str
    """Hash of the metadata and of the shards' names and sizes."""


def tfds_data_dir(configured: str | None) -> Path:
    """Where TFDS datasets lie: as configured, else TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    root = configured or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(root).expanduser().absolute()


def find_prepared(root: Path) -> Prepared | None:
    """The dataset prepared in `root`: a version's directory, or the newest one directly below it.

    None if there is none. Raises DataError if its metadata cannot be read.
    """
    candidates = [root] if (root / "dataset_info.json").is_file() else []
    if not candidates and root.is_dir():
        candidates = [
            path
            for path in root.iterdir()
            if VERSION.fullmatch(path.name) and (path / "dataset_info.json").is_file()
        ]
    if not candidates:
        return None
    directory = max(candidates, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    metadata = [directory / "dataset_info.json", directory / "features.json"]
    _check_regular(metadata)
    try:
        texts = [path.read_text(encoding="utf-8") for path in metadata]
        info, _ = (json.loads(text) for text in texts)
        version = str(info["version"])
        file_format = info.get("fileFormat", "tfrecord")
        splits = {
            split["name"]: [directory / shard for shard in shard_names(info, split)]
            for split in info["splits"]
        }
        check_features(texts[1])
    except DataError as error:
        raise DataError(f"{directory}: {error}") from error
    except UNREADABLE as error:
        raise DataError(f"{directory}: the metadata cannot be read ({error!r})") from error
    _check_regular(shard for shards in splits.values() for shard in shards)
    sizes = [
        (path.name, path.stat().st_size if path.exists() else None)
        for paths in splits.values()
        for path in paths
    ]
    return Prepared(directory, version, file_format, splits, identify(texts, sizes))


def _check_regular(paths: Iterable[Path]) -> None:
    """A pipe or a device in a file's place would never end."""
    for path in paths:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is no regular file")


def read(
    name: str,
    root: Path,
    *,
    columns: Mapping[str, str],
    splits: Callable[[Prepared], Mapping[str, str]],
    remedy: str,
    cache_dir: str | None,
    progress: Progress | None,
    crop: int | None = None,
) -> Cached:
    """The dataset prepared in `root`, from its cache or decoded.

    Raises DataError if nothing is prepared there, in another format, if a shard is damaged, or if the images are
    smaller than `crop`.

    Args:
      name: of the dataset; names the cache.
      root: `<data_dir>/<name>`, or a version's directory.
      columns: which feature each field of Data takes, e.g. `{"y": "label"}`.
      splits: `(prepared) -> {source: split}`, e.g. `{"train": "train", "test": "test"}`.
      remedy: how to prepare the dataset; ends the messages.
      cache_dir: see `dataset_cache_dir`.
      progress: called with (done, total) while decoding.
      crop: side of the central square of each image that is kept, in a cache of its own; None: the whole image.

    """
    cache_name = name if crop is None else f"{name}_{crop}"
    prepared = find_prepared(root)
    if prepared is None:
        missing = f"{name}: nothing prepared in {root}; {remedy}"
        try:
            orphan = load_orphan(cache_name, root, cache_dir)
        except DataError as error:
            raise DataError(f"{missing}; {error}") from error
        if orphan is None:
            raise DataError(missing)
        return orphan
    if prepared.file_format != FILE_FORMAT:
        raise DataError(
            f"{name}: {prepared.directory} is in the format {prepared.file_format}, which has no "
            f"random access; delete it, and prepare it again as {FILE_FORMAT}: {remedy}"
        )

    identity = prepared.identity if crop is None else identify(prepared.identity, crop)

    def decode() -> Cached:
        sources, classes = decode_prepared(
            prepared, splits(prepared), columns, remedy, progress, crop
        )
        return Cached(
            name=cache_name,
            version=prepared.version,
            identity=identity,
            source=str(root),
            sources=sources,
            digests=digests(sources),
            classes=classes,
        )

    return cached(
        decode,
        name=cache_name,
        version=prepared.version,
        identity=identity,
        cache_dir=cache_dir,
    )


def decode_prepared(
    prepared: Prepared,
    splits: Mapping[str, str],
    columns: Mapping[str, str],
    remedy: str,
    progress: Progress | None,
    crop: int | None = None,
) -> tuple[Sources, tuple[str, ...]]:
    """Decode the splits into arrays; the class names are those of the feature that is `y`.

    With `crop` only the central square of that side is kept of each image.
    """
    import tensorflow_datasets as tfds  # most of a second, and only needed to decode

    try:
        builder = tfds.builder_from_directory(str(prepared.directory))
        features = builder.info.features
    except Exception as error:  # whatever TFDS dislikes about the metadata
        raise DataError(f"{prepared.directory}: TFDS cannot read it ({error})") from error
    _check_features(prepared, features, columns)
    window, shape = _central(prepared, features["image"].shape, crop)
    absent = [split for split in splits.values() if split not in prepared.splits]
    if absent:
        raise DataError(f"{prepared.directory} has no split {', '.join(absent)}; {remedy}")
    total = sum(builder.info.splits[split].num_examples for split in splits.values())
    done = 0
    sources: Sources = {}
    for source, split in splits.items():
        data = _allocate(builder, split, columns, shape)
        # TFDS would take up to twice the time for it, and its pixels depend on whether OpenCV is installed.
        encoded = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        for start, examples in _examples(encoded, builder, prepared, split, remedy):
            for row, example in enumerate(examples, start):
                data.x[row] = example["image"][window]
                for field, feature in columns.items():
                    getattr(data, field)[row] = example[feature]
                if data.id is not None:
                    data.id[row] = _trailing_number(example["id"])
            done += len(examples)
            if progress is not None:
                progress(done, total)
        _check_labels(prepared, features, columns, split, data)
        if data.id is not None and (data.id < 0).any():
            data = data._replace(id=None)  # names, not numbers
        sources[source] = data
    return sources, tuple(features[columns["y"]].names)


def _check_features(prepared: Prepared, features: Any, columns: Mapping[str, str]) -> None:
    for name in ("image", *columns.values()):
        if name not in features:
            raise DataError(f"{prepared.directory} has no feature {name!r}")
    shape, dtype = features["image"].shape, features["image"].np_dtype
    if None in shape or dtype != np.uint8:
        raise DataError(
            f"{prepared.directory}: the images have the shape {shape} and the type "
            f"{dtype.__name__}; needed: one fixed shape, uint8"
        )


def _check_labels(
    prepared: Prepared, features: Any, columns: Mapping[str, str], split: str, data: Data
) -> None:
    for field, feature in columns.items():
        y = getattr(data, field)
        if ((y < 0) | (y >= features[feature].num_classes)).any():
            raise DataError(f"{prepared.directory}: {split!r} has examples without a label")


def _central(
    prepared: Prepared, shape: tuple[int, int, int], crop: int | None
) -> tuple[tuple[slice, slice], tuple[int, int, int]]:
    """Rows and columns of an image of `shape` that are kept, and the shape of that part."""
    if crop is None:
        return (slice(None), slice(None)), shape
    height, width, channels = shape
    if min(height, width) < crop:
        raise DataError(
            f"{prepared.directory}: the images are {height}×{width}, "
            f"and their central {crop}×{crop} is to be kept"
        )
    top, left = (height - crop) // 2, (width - crop) // 2
    return (slice(top, top + crop), slice(left, left + crop)), (crop, crop, channels)


def _allocate(
    builder: Any, split: str, columns: Mapping[str, str], shape: tuple[int, int, int]
) -> Data:
    """Empty arrays for a whole split, to be filled row by row: nothing is held twice."""
    features = builder.info.features
    count = builder.info.splits[split].num_examples
    return Data(
        x=np.empty((count, *shape), np.uint8),
        id=np.empty(count, np.int32) if "id" in features else None,
        **{field: np.empty(count, np.int32) for field in columns},
    )


def _trailing_number(text: bytes) -> int:
    """16399 of b"train_16399"; -1 where no number of up to nine digits ends the text."""
    found = TRAILING_NUMBER.search(text)
    return -1 if found is None else int(found[0])


def _pixels(image: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 of that shape."""
    with Image.open(io.BytesIO(image)) as opened:
        return np.asarray(opened).reshape(shape)


def _examples(
    encoded: Any, builder: Any, prepared: Prepared, split: str, remedy: str
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """`(first row, examples)` in batches that never cross shards: an error belongs to one file."""
    shape = builder.info.features["image"].shape
    first = 0
    lengths = builder.info.splits[split].shard_lengths
    for path, length in zip(prepared.splits[split], lengths, strict=True):
        for start in range(first, first + length, DECODE_BATCH):
            rows = list(range(start, min(start + DECODE_BATCH, first + length)))
            try:
                examples = [
                    {**example, "image": _pixels(example["image"], shape)}
                    for example in encoded.__getitems__(rows)
                ]
            except Exception as error:  # whatever the reader or the image decoder stumbles over
                state = "truncated or damaged" if path.exists() else "missing"
                raise DataError(
                    f"{path} is {state} ({error}); delete it and prepare again: {remedy}"
                ) from error
            yield start, examples
        first += length
