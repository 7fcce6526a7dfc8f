"""What is in the arrays of a file: pixels as uint8, labels as numbers with names, ids as text."""

import numpy as np

from junlearn.engine.inputs.data_columns import check_range, whole_numbers
from junlearn.engine.inputs.networks import CHANNELS, channels_first
from junlearn.errors import DataError, unknown

__all__ = ["ids_in", "labels_in", "pixels_in"]

ROWS = 1024
"""Images that are converted at a time, so that no second array of the size of the first is made."""
EXACT = 1e-3
"""How far a pixel may be from a whole number, in units of 1: what float32 makes of 255ths is much nearer."""


def pixels_in(x: np.ndarray, where: str) -> np.ndarray:
    """uint8[N,H,W,C] of images that are exactly so many steps of grey.

    Raises DataError for other shapes and types, for channels in front, and for numbers that are no pixels.
    """
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or 0 in x.shape:
        raise DataError(
            f"{where} has shape {list(x.shape)}, and images [N,H,W,C] are wanted, or [N,H,W] of grey ones"
        )
    if x.shape[-1] not in CHANNELS and channels_first(x.shape[1:]):
        raise DataError(
            f"{where} has images of {list(x.shape[1:])}, which looks like channels in front: rows, columns, channels "
            f"are wanted, {where}.transpose(0, 2, 3, 1)"
        )
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where} is {x.dtype}, and uint8 is wanted")
    low, high = x.min(), x.max()
    if not np.isfinite([low, high]).all():
        raise DataError(
            f"{where} holds NaN or infinite pixels: leave these images out, or mend them"
        )
    unit = x.dtype.kind in "bf" and low >= 0 and high <= 1
    if not unit and low >= 0 and high <= 1:
        raise DataError(
            f"{where} is {x.dtype} from {low} to {high}, and it is not said whether white is 1 or 255: uint8 is "
            f"wanted, (255 * {where}).astype(np.uint8) if it is 1"
        )
    if not unit and not (low >= 0 and 1 < high <= 255):
        raise DataError(
            f"{where} is {x.dtype} from {low:g} to {high:g}, and uint8 is wanted, 0 to 255: give the images as they "
            "were before they were normalised, which dataset.mean and dataset.std do"
        )
    pixels = np.empty(x.shape, np.uint8)
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS].astype(np.float64) * (255 if unit else 1)
        whole = np.rint(part)
        if np.abs(part - whole).max() > EXACT:
            scaled = f"255 * {where}" if unit else where
            raise DataError(
                f"{where} is {x.dtype} from {low:g} to {high:g} with steps finer than those of uint8, which is wanted: "
                f"np.rint({scaled}).astype(np.uint8) rounds them"
            )
        pixels[start : start + ROWS] = whole
    return pixels


def labels_in(
    given: dict[str, np.ndarray], classes: np.ndarray | None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """int32[N] of each array, and the names of the K classes: `classes`, else the labels themselves.

    Raises DataError, and ConfigError as the arrays' door does, for labels that are no numbers from 0 on and no names,
    and for those that `classes` has not.
    """
    named = None if classes is None else tuple(_texts(classes, "classes"))
    if named is not None and len(set(named)) < len(named):
        raise DataError("classes has the same name twice")
    if len({y.dtype.kind in "US" for y in given.values()}) > 1:
        raise DataError(f"of {' and '.join(given)} one has names and one numbers")
    if all(y.dtype.kind in "US" for y in given.values()):
        texts = {name: _texts(y, name) for name, y in given.items()}
        known = named or tuple(sorted(set().union(*texts.values())))
        numbers = {label: number for number, label in enumerate(known)}
        for name, labels in texts.items():
            odd = next((row for row, label in enumerate(labels) if label not in numbers), None)
            if odd is not None:
                raise DataError(f"{name}, row {odd}: {unknown('class', labels[odd], known)}")
        return {
            name: np.array([numbers[label] for label in labels], np.int32)
            for name, labels in texts.items()
        }, known
    columns = {name: whole_numbers(y, name, "label") for name, y in given.items()}
    for name, column in columns.items():
        check_range(column, None, name)
        _check_names(column, named, name)
    highest = max(int(column.max(initial=0)) for column in columns.values())
    if named is None:
        _check_gaps(columns["y_train"], highest)
    return columns, named or tuple(map(str, range(highest + 1)))


def ids_in(ids: np.ndarray, where: str, count: int) -> list[str]:
    """The ids as text. Raises DataError unless there is one for each image, and ConfigError for fractions."""
    if ids.dtype.kind in "US":
        texts = _texts(ids, where)
    elif ids.dtype.kind in "iu" and ids.ndim == 1:
        texts = [str(number) for number in ids.tolist()]
    else:
        texts = [str(number) for number in whole_numbers(ids, where, "id").tolist()]
    if len(texts) != count:
        raise DataError(f"{where} has {len(texts)} ids for {count} images: one for each is wanted")
    blank = next((row for row, text in enumerate(texts) if not text.strip()), None)
    if blank is not None:
        raise DataError(f"{where} is empty in row {blank}")
    return texts


def _texts(column: np.ndarray, where: str) -> list[str]:
    if column.ndim != 1 or column.dtype.kind not in "US":
        raise DataError(
            f"{where} is {column.dtype}{list(column.shape)}, and a list of names is wanted"
        )
    if column.dtype.kind == "U":
        return column.tolist()
    try:
        return [value.decode() for value in column.tolist()]
    except UnicodeDecodeError as error:
        raise DataError(f"{where} holds bytes that are not UTF-8: give it as text") from error


def _check_names(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> None:
    if names is not None and labels.size and labels.max() >= len(names):
        row = int(labels.argmax())
        raise DataError(
            f"{where} has the label {labels[row]} in row {row}, and classes has {len(names)} names, 0 to "
            f"{len(names) - 1}"
        )


def _check_gaps(labels: np.ndarray, highest: int) -> None:
    """Numbers alone have to be those of classes: all from 0 to the highest one."""
    there = np.unique(labels)
    if len(there) <= highest:
        wrong = np.flatnonzero(there != np.arange(len(there)))
        first = int(wrong[0]) if wrong.size else len(there)
        remedy = (
            "subtract 1"
            if first == 0 and len(there) == highest
            else "np.unique(y, return_inverse=True)[1] numbers them anew"
        )
        raise DataError(
            f"y_train has no example of class {first}, and labels reach {highest}: they are numbered from 0 without a "
            f"gap, so {remedy}"
        )
