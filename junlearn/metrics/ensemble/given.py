"""Arrays as people bring them: what every function here asks of its arguments, said in one line where it is not so."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from junlearn.errors import ConfigError, short
from junlearn.metrics.context import Floats

__all__ = ["flags", "numbers", "one_of", "probabilities", "shape_of", "share", "whole"]


def numbers(value: Any, where: str, axes: Sequence[str], infinite: bool = False) -> Floats:
    """float64 with the named axes, none of them empty.

    Raises ConfigError for another number of axes, for what holds no numbers, and for NaN; for infinite numbers too
    unless they are allowed.
    """
    array = _array(value, where)
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"{where} holds {array.dtype}, and numbers are wanted")
    if array.ndim != len(axes):
        raise ConfigError(f"{where} must be [{', '.join(axes)}], not of shape {list(array.shape)}")
    if array.size == 0:
        raise ConfigError(f"{where} is empty: its shape is {list(array.shape)}")
    array = array.astype(np.float64)
    wrong = int((np.isnan(array) if infinite else ~np.isfinite(array)).sum())
    if wrong:
        what = "NaN" if infinite else "NaN or infinite"
        raise ConfigError(f"{where}: {wrong} of {array.size} numbers are {what}")
    return array


def probabilities(value: Any, where: str, axes: Sequence[str]) -> Floats:
    """`numbers` that lie in [0, 1]."""
    array = numbers(value, where, axes)
    if array.min() < 0 or array.max() > 1:
        found = f"{array.min():.4g} to {array.max():.4g}"
        raise ConfigError(f"{where} must hold probabilities, and reaches from {found}")
    return array


def whole(value: Any, where: str, shape: Sequence[int]) -> np.ndarray:
    """int64 of this shape. Raises ConfigError for another shape, and for numbers that are not whole."""
    array = _shaped(value, where, shape)
    if array.dtype.kind not in "iu":
        raise ConfigError(f"{where} must hold whole numbers, not {array.dtype}")
    return array.astype(np.int64)


def flags(value: Any, where: str, shape: Sequence[int]) -> np.ndarray:
    """Booleans of this shape; whole numbers 0 and 1 count too. Raises ConfigError for anything else."""
    array = _shaped(value, where, shape)
    if array.dtype.kind in "iu" and np.isin(array, (0, 1)).all():
        return array.astype(bool)
    if array.dtype != bool:
        raise ConfigError(f"{where} must hold true and false, not {array.dtype}")
    return array


def shape_of(value: Any, where: str) -> tuple[int, ...]:
    """The shape of what may be no array yet. Raises ConfigError for what cannot be one."""
    return _array(value, where).shape


def share(value: float, where: str) -> float:
    """A number inside of (0, 1)."""
    if not 0 < value < 1:
        raise ConfigError(f"{where} must lie between 0 and 1, not {short(value)}")
    return float(value)


def one_of(value: str | None, where: str, known: Sequence[str | None]) -> None:
    """Raises ConfigError unless the value is among those known."""
    if value not in known:
        raise ConfigError(
            f"{where} must be one of {', '.join(map(repr, known))}, not {short(value)}"
        )


def _array(value: Any, where: str) -> np.ndarray:
    if np.ma.is_masked(value):
        raise ConfigError(f"{where} has masked elements: leave them out, or .filled(...) them")
    try:
        return np.asarray(value)
    except Exception as error:  # whatever another library's __array__ raises
        raise ConfigError(f"{where} cannot be read as an array: {str(error)[:200]}") from error


def _shaped(value: Any, where: str, shape: Sequence[int]) -> np.ndarray:
    array = _array(value, where)
    if array.shape != tuple(shape):
        raise ConfigError(f"{where} must be of shape {list(shape)}, not {list(array.shape)}")
    return array
