"""One number for each image: labels, ids and marks, as whole numbers and bools of the width that is computed with."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine.inputs.arrays import array_of, readable, shape_of
from junlearn.errors import ConfigError

__all__ = ["check_range", "marks", "whole_numbers"]

INT32 = np.iinfo(np.int32)


def whole_numbers(value: Any, where: str, what: str) -> Any:
    """int32[N] of whole numbers of any type."""
    column = array_of(value, where)
    if column.dtype.kind in "USO":
        raise ConfigError(
            f"{where} holds text, and whole numbers are wanted: names, numbers = np.unique(..., return_inverse=True)"
        )
    if column.ndim != 1:
        raise ConfigError(
            f"{where} has {shape_of(column)}, and one {what} for each image is wanted: {_column_remedy(column)}"
        )
    if column.dtype == np.int32:
        return column
    if jnp.issubdtype(column.dtype, jnp.floating):
        column = np.asarray(column, np.float64)
        odd = np.flatnonzero(~np.isfinite(column) | (column != np.round(column)))
        if odd.size:
            raise ConfigError(
                f"{where} holds {column[odd[0]]:g} in row {odd[0]}, and whole numbers are wanted"
            )
    elif not (column.dtype == bool or jnp.issubdtype(column.dtype, jnp.integer)):
        raise ConfigError(f"{where} is {column.dtype}, and whole numbers are wanted")
    if not isinstance(column, jax.Array) and column.size:
        low, high = column.min(), column.max()
        if low < INT32.min or high > INT32.max:
            raise ConfigError(
                f"{where} reaches from {low:.0f} to {high:.0f}, and whole numbers of 32 bits are wanted: number them "
                "anew by np.unique(..., return_inverse=True)"
            )
    return column.astype(np.int32)


def marks(value: Any, where: str) -> Any:
    """bool[N]."""
    flags = array_of(value, where)
    if flags.ndim != 1:
        raise ConfigError(
            f"{where} has {shape_of(flags)}, and one True or False an image is wanted"
        )
    if flags.dtype == bool:
        return flags
    if flags.dtype.kind not in "iuf" or not np.isin(np.asarray(flags), (0, 1)).all():
        raise ConfigError(f"{where} is {flags.dtype}, and one True or False an image is wanted")
    return flags.astype(bool)


def check_range(labels: np.ndarray, classes: int | None, where: str) -> None:
    """Make sure that labels are 0 to `classes` - 1 (None: not negative). Raises ConfigError with the likely remedy."""
    if labels.size == 0:
        return
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and (classes is None or high < classes):
        return
    row = int(
        np.flatnonzero((labels < 0) | (labels >= (high + 1 if classes is None else classes)))[0]
    )
    found = f"labels run from {low} to {high} (row {row}: {labels[row]})"
    if classes is None:
        raise ConfigError(f"{where}: {found}, and they are numbered from 0; {_below(labels, high)}")
    allowed = f"the network has {classes} outputs, 0 to {classes - 1}"
    if low < 0:
        remedy = _below(labels, classes - 1)
    elif low == 1 and high == classes:
        remedy = "subtract 1"
    elif len(np.unique(labels)) <= classes:
        remedy = f"number the classes from 0 without a gap, or give the network {high + 1} outputs"
    else:
        remedy = f"give the network {high + 1} outputs, or leave these examples out"
    raise ConfigError(f"{where}: {found}, and {allowed}; {remedy}")


def _column_remedy(column: Any) -> str:
    if column.ndim > 2:
        return "are x and y in each other's place?"
    if column.ndim != 2 or column.size == 0:
        return "a flat array of whole numbers"
    if column.shape[1] == 1:
        return "y[:, 0]"
    if readable(column) and np.allclose(np.asarray(column, np.float64).sum(1), 1, atol=1e-3):
        return "of one-hot labels it is y.argmax(1)"
    return "several labels of one image are not known here; of scores for the classes it is y.argmax(1)"


def _below(labels: np.ndarray, last: int) -> str:
    """What to do about negative labels where the last class has the number `last`."""
    low, high = int(labels.min()), int(labels.max())
    if set(np.unique(labels)) == {-1, 1}:
        return "(y + 1) // 2"
    if low == -1 and high < last:
        return "add 1 if -1 is a class, and else leave the examples without a label out"
    return "leave examples without a label out" if low == -1 else "number the classes from 0"
