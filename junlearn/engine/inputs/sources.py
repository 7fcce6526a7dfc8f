"""Arrays as people have them become `Sources` in the form that the library computes with, or an error says what to do.

Nothing is compiled here, and no large array is copied that has the right form already: lists, tuples, tensors and
numbers of another width are converted, arrays on a device stay there.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine.inputs.arrays import array_of, finite, kind_of, readable, shape_of
from junlearn.engine.inputs.data_columns import check_range, marks, whole_numbers
from junlearn.errors import ConfigError, unknown
from junlearn.types import Data, Sources

__all__ = ["check_labels", "sources_of"]

SOURCES = ("train", "test", "validation", "surrogate")
WANTED = "pass junlearn.Data(x, y), (x, y), or a dict with one of them under 'train'"


def sources_of(
    data: Any, argument: str = "data", *, values: bool = True, images: bool = True
) -> Sources:
    """`data` (Data, a pair `(x, y)`, or a dict of them by source) as Sources with the columns that `Data` describes.

    Converted are whatever numpy reads as an array, whole labels of any number type, and float64 and bool images. With
    `values`, pixels must be finite too, no source may be empty, and sources have to be known ones. Without `images`,
    examples may have any number of axes.

    Raises ConfigError, which names the source and the column.
    """
    if isinstance(data, Data) or _is_pair(data):
        return {"train": _data(data, argument, values, images)}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{argument} is {kind_of(data)}: {_remedy(data)}")
    if "train" not in data and {str(name)[:5].lower() for name in data} & {"x", "y", "image"}:
        raise ConfigError(f"{argument} is a dict of columns ({_names(data)}): {WANTED}")
    for name in data:
        if values and name not in SOURCES:
            raise unknown(f"source in {argument}", name, SOURCES)
    if "train" not in data:
        raise ConfigError(f"{argument} has no 'train', only {_names(data) or 'nothing'}: {WANTED}")
    return {name: _data(d, f"{argument}[{name!r}]", values, images) for name, d in data.items()}


def check_labels(sources: Sources, classes: int | None, argument: str = "data") -> None:
    """Make sure that labels are 0 to `classes` - 1 (None: not negative); those of "surrogate" are never read.

    Raises ConfigError, which names the column, what was found and the likely remedy.
    """
    for name, data in sources.items():
        if name == "surrogate":
            continue
        for field, limit in (("y", classes), ("clean", classes), ("fine", None)):
            column = getattr(data, field)
            if column is not None and readable(column):
                check_range(np.asarray(column), limit, f"{_place(sources, name, argument)}.{field}")


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple) and len(data) == 2 and not any(map(_is_set, data))


def _is_set(value: Any) -> bool:
    """Whether it is images with their labels, such as one half of `(x_train, y_train), (x_test, y_test)`."""
    pair = isinstance(value, tuple) and len(value) == 2 and getattr(value[0], "ndim", 0) > 1
    return isinstance(value, Data) or pair


def _place(sources: Sources, name: str, argument: str) -> str:
    """How a person has named a source: data of one source need no dict."""
    return f"{argument}[{name!r}]" if len(sources) > 1 else argument


def _remedy(data: Any) -> str:
    if isinstance(getattr(data, "sources", None), Mapping):
        return "pass its .sources"
    if isinstance(data, tuple | list) and len(data) == 2 and any(map(_is_set, data)):
        return "pass {'train': (x, y), 'test': (x, y)}"
    return WANTED


def _names(data: Mapping[Any, Any]) -> str:
    return ", ".join(map(repr, data))


def _data(value: Any, where: str, values: bool, images: bool) -> Data:
    if _is_pair(value):
        value = Data(*value)
    if not isinstance(value, Data):
        raise ConfigError(f"{where} is {kind_of(value)}: pass junlearn.Data(x, y) or (x, y)")
    for name in ("x", "y"):
        if getattr(value, name) is None:
            raise ConfigError(f"{where}.{name} is missing: pass junlearn.Data(x, y)")
    columns = {"y": whole_numbers(value.y, f"{where}.y", "label")}
    x = _images(value.x, f"{where}.x", columns["y"].shape[0], images)
    count = x.shape[0]
    for name, what in (("id", "number"), ("fine", "label"), ("clean", "label")):
        if getattr(value, name) is not None:
            columns[name] = whole_numbers(getattr(value, name), f"{where}.{name}", what)
    if value.triggered is not None:
        columns["triggered"] = marks(value.triggered, f"{where}.triggered")
    for name, column in columns.items():
        if column.shape[0] != count:
            what = "labels" if name == "y" else f"entries in .{name}"
            raise ConfigError(
                f"{where} has {count} images and {column.shape[0]} {what}: one for each image is wanted"
            )
    if values and count == 0:
        raise ConfigError(f"{where} is empty: give at least one image, or leave this source out")
    if values and not finite(x):
        sound = np.isfinite(np.asarray(x, np.float32)).reshape(count, -1).all(1)
        raise ConfigError(
            f"{where}.x holds NaN or infinite pixels in {count - sound.sum()} of {count} images, first in row "
            f"{sound.argmin()}: leave these images out, or mend them"
        )
    return Data(x, **columns)


def _images(value: Any, where: str, labels: int, images: bool) -> Any:
    """uint8[N,H,W,C], or floats that are taken as they are."""
    x = array_of(value, where)
    if x.ndim != 4 and (images or x.ndim < 2):
        raise ConfigError(
            f"{where} has {shape_of(x)}, and [N,H,W,C] is wanted: {_axes_remedy(x, labels)}"
        )
    if 0 in x.shape[1:]:
        raise ConfigError(f"{where} has {shape_of(x)}: there are no pixels in its images")
    if x.dtype == np.uint8:
        return x
    if x.dtype == bool:
        return x.astype(np.float32)
    if jnp.issubdtype(x.dtype, jnp.floating):
        # With jax_enable_x64, double precision is meant.
        if isinstance(x, jax.Array) or x.dtype.itemsize <= 4 or _is_double():
            return x
        with np.errstate(over="ignore"):
            return x.astype(np.float32)
    if jnp.issubdtype(x.dtype, jnp.integer):
        low, high = (int(x.min()), int(x.max())) if x.size and readable(x) else (0, 255)
        if _numbers_alone(value) and low >= 0 and 1 < high <= 255:
            # A list of plain numbers has no type that says otherwise.
            return x.astype(np.uint8)
        raise ConfigError(
            f"{where} is {x.dtype}, from {low} to {high}; uint8 (0 to 255) or floats that are scaled already are "
            f"wanted: {_integers_remedy(low, high)}"
        )
    raise ConfigError(f"{where} is {x.dtype}, and uint8 or floats are wanted")


def _is_double() -> bool:
    """Whether JAX computes in double precision."""
    return jnp.result_type(float) == np.float64


def _axes_remedy(x: Any, labels: int) -> str:
    if x.ndim == 3 and labels == x.shape[0]:
        return "add the axis of channels, x[..., None]"
    if x.ndim == 3:
        return "one image alone is x[None]; images without an axis of channels are x[..., None]"
    if x.ndim == 2:
        side = round(x.shape[1] ** 0.5)
        into = f"{side}, {side}, 1" if side * side == x.shape[1] else "H, W, C"
        return f"flat images are x.reshape(-1, {into})"
    return "the axes are examples, rows, columns and channels"


def _integers_remedy(low: int, high: int) -> str:
    if low >= 0 and high <= 1:
        return "x.astype(np.float32) if 1 is white, x.astype(np.uint8) if 255 is"
    if low >= 0 and high <= 255:
        return "x.astype(np.uint8)"
    if low >= 0:
        white = 2 ** max(high.bit_length(), 16) - 1
        return f"x.astype(np.float32) / {white}, or whatever white is"
    return "scale them, such as (x.astype(np.float32) - x.min()) / (x.max() - x.min())"


def _numbers_alone(value: Any) -> bool:
    """Whether nested lists and tuples hold plain numbers, judged by their first one."""
    while isinstance(value, list | tuple) and len(value):
        value = value[0]
    return type(value) is int
