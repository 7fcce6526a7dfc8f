"""Images of a Hugging Face `datasets.Dataset` as arrays. The library itself is not imported: whoever has such an object
has the library.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from junlearn.datasets.decode_files import stack
from junlearn.datasets.npz_arrays import pixels_in
from junlearn.datasets.pixels import Picture, shown
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.data_columns import check_range, whole_numbers
from junlearn.engine.inputs.sources import SOURCES
from junlearn.errors import ConfigError, DataError, unknown
from junlearn.types import Data, Sources

__all__ = ["from_huggingface"]

SIZE = "pass size=32, say"


def from_huggingface(
    dataset: Any,
    image: str | None = None,
    label: str | None = None,
    ids: str | None = None,
    size: int | None = None,
) -> Data | Sources:
    """A `datasets.Dataset` as Data; a `DatasetDict` of "train", "test" and "validation" as a dict of them.

    `image` and `label` name columns. None: those of these names, else the only column of images, or of classes. `ids`
    names a column of whole numbers, which requests can name examples by. With `size` the images become squares of that
    side (Pillow, bilinear with antialias). Images are uint8[N,H,W,C]: 3 channels where any is coloured, else 1. They
    are turned as their EXIF data say, and transparent pixels are laid on white. Labels are the numbers of the classes;
    `dataset.features[label].names` has the names.

    Raises ConfigError where it is not clear which column is meant, for labels that are no numbers of classes, for
    images of several sizes without `size`, and for splits of other names; DataError for an image that cannot be read.
    """
    if isinstance(dataset, Mapping):
        return _sources(dataset, image, label, ids, size)
    return _data(dataset, image, label, ids, size, "dataset")


def _sources(
    parts: Mapping[str, Any],
    image: str | None,
    label: str | None,
    ids: str | None,
    size: int | None,
) -> Sources:
    for name in parts:
        if name not in SOURCES:
            raise ConfigError(
                f"dataset has a split {name!r}, and known are {', '.join(SOURCES)}: pass those that are wanted, "
                "{'train': dataset[...], ...}"
            )
    if "train" not in parts:
        raise ConfigError(
            f"dataset has no 'train', only {', '.join(map(repr, parts)) or 'nothing'}"
        )
    sources = {
        name: _data(part, image, label, ids, size, f"dataset[{name!r}]")
        for name, part in parts.items()
    }
    names = {name: _class_names(part, label) for name, part in parts.items()}
    odd = next((name for name in names if names[name] != names["train"]), None)
    if odd is not None:
        raise ConfigError(f"dataset[{odd!r}] has other classes than dataset['train']")
    if len({data.x.shape[-1] for data in sources.values()}) > 1:
        # A grey image has equal red, green and blue.
        return {
            n: d._replace(x=np.broadcast_to(d.x, (*d.x.shape[:-1], 3)).copy())
            for n, d in sources.items()
        }
    return sources


def _data(
    dataset: Any,
    image: str | None,
    label: str | None,
    ids: str | None,
    size: int | None,
    where: str,
) -> Data:
    if isinstance(dataset, str):
        raise ConfigError(
            f"{where} is a name: pass what datasets.load_dataset({dataset!r}) returns (python -m pip install "
            "'junlearn[huggingface]')"
        )
    if not isinstance(getattr(dataset, "features", None), Mapping):
        raise ConfigError(
            f"{where} is {kind_of(dataset)}, and a datasets.Dataset with known features is wanted"
        )
    if not hasattr(dataset, "__len__"):
        raise ConfigError(f"{where} is streamed: load it without streaming=True")
    if len(dataset) == 0:
        raise ConfigError(f"{where} is empty")
    image = _column(dataset, image, "image", "Image", where)
    label = _column(dataset, label, "label", "ClassLabel", where)
    x = _images(dataset, image, size, f"{where}[{image!r}]")
    y = _labels(dataset, label, f"{where}[{label!r}]")
    if ids is None:
        return Data(x, y)
    _known(dataset, ids, where)
    numbers = whole_numbers(list(_formatted(dataset, None)[ids]), f"{where}[{ids!r}]", "number")
    if len(np.unique(numbers)) < len(numbers):
        raise ConfigError(
            f"{where}[{ids!r}] has the same number twice, and each image needs its own"
        )
    return Data(x, y, numbers)


def _column(dataset: Any, given: str | None, usual: str, kind: str, where: str) -> str:
    """The column that is meant."""
    if given is not None:
        _known(dataset, given, where)
        return given
    if usual in dataset.features:
        return usual
    found = [name for name, feature in dataset.features.items() if type(feature).__name__ == kind]
    if len(found) == 1:
        return found[0]
    columns = ", ".join(map(repr, dataset.features))
    raise ConfigError(
        f"{where} has no column {usual!r}, and {len(found) or 'none'} of the kind {kind}: say which of {columns} is "
        f'meant, {usual}="..."'
    )


def _known(dataset: Any, name: str, where: str) -> None:
    if name not in dataset.features:
        raise ConfigError(f"{where}: {unknown('column', name, dataset.features)}")


def _formatted(dataset: Any, form: str | None) -> Any:
    """What a person has set, such as tensors with channels in front, does not count."""
    return dataset.with_format(form) if hasattr(dataset, "with_format") else dataset


def _class_names(dataset: Any, label: str | None) -> Any:
    name = _column(dataset, label, "label", "ClassLabel", "dataset")
    return getattr(dataset.features[name], "names", None)


def _images(dataset: Any, column: str, size: int | None, where: str) -> np.ndarray:
    """uint8[N,H,W,C]."""
    photographs = type(dataset.features[column]).__name__ == "Image"
    rows = _formatted(dataset, None if photographs else "numpy")
    if hasattr(rows, "select_columns"):
        rows = rows.select_columns([column])
    # The library gives whole numbers of any width as int64.
    narrow = _stored(dataset.features[column]) == "uint8"
    values = (np.asarray(r[column], np.uint8) if narrow else r[column] for r in rows)
    if photographs or size is not None:
        names = [f"{where}[{row}]" for row in range(len(dataset))]
        return stack(names, _pictures(values, names, size), SIZE)[0]
    arrays = [np.asarray(value) for value in values]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        first, second, *_ = sorted(shapes)
        raise ConfigError(
            f"{where}: images differ in shape ({list(first)}, {list(second)}): {SIZE}"
        )
    try:
        return pixels_in(np.stack(arrays), where)
    except DataError as error:
        raise ConfigError(str(error)) from error


def _stored(feature: Any) -> Any:
    """The type of the numbers in a column of arrays, or of lists of them."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    return getattr(feature, "dtype", None)


def _pictures(values: Iterable[Any], names: Iterable[str], size: int | None) -> Iterator[Picture]:
    for value, name in zip(values, names, strict=True):
        if isinstance(value, Mapping) and {"bytes", "path"} <= set(value):
            value = _opened(value, name)
        elif not isinstance(value, Image.Image):
            pixels = np.asarray(value)
            if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
                found = "nothing" if value is None else f"{pixels.dtype}{list(pixels.shape)}"
                raise ConfigError(f"{name} is {found}, and an image is wanted, or uint8[H,W,C]")
            value = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
        yield shown(value, name, size)


def _opened(value: Mapping[str, Any], name: str) -> Image.Image:
    """An image that is not decoded yet."""
    try:
        return Image.open(value["path"] if value["bytes"] is None else io.BytesIO(value["bytes"]))
    except Exception as error:  # whatever Pillow stumbles over
        raise DataError(f"{name} cannot be read as an image: {error}") from error


def _labels(dataset: Any, column: str, where: str) -> np.ndarray:
    """int32[N]."""
    values = list(_formatted(dataset, None)[column])
    if any(isinstance(value, str) for value in values):
        raise ConfigError(
            f"{where} holds text, and numbers of classes are wanted: dataset.class_encode_column({column!r})"
        )
    absent = next((row for row, value in enumerate(values) if value is None or value == -1), None)
    if absent is not None:
        raise ConfigError(
            f"{where} has no label in row {absent}: leave such rows out, dataset.filter"
        )
    numbers = whole_numbers(values, where, "label")
    check_range(numbers, None, where)
    return numbers
