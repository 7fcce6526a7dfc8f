"""One array as people have it: what numpy can read, numbers alone, none of them masked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError

__all__ = ["array_of", "finite", "kind_of", "readable", "rows_of", "shape_of"]


def array_of(value: Any, where: str) -> Any:
    """An array of numpy, or of JAX where it is one already. Raises ConfigError for what is none, or is masked."""
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.extended):
            raise ConfigError(f"{where} holds {value.dtype}, which are no numbers")
        return value
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise ConfigError(f"{where} has masked elements: leave them out, or .filled(...) them")
        return value.data
    if isinstance(value, list | tuple) and any(isinstance(v, np.ma.MaskedArray) for v in value):
        return array_of(np.ma.stack(value), where)
    try:
        array = np.asarray(value)
        if array.dtype == object and array.ndim:
            # A column of a table, or a list of arrays: what it holds may be numbers all the same.
            array = np.asarray(array.tolist())
    except Exception as error:  # whatever another library's __array__ raises
        reason = str(error).strip().split("\n")[0]
        if "inhomogeneous" in reason:
            reason = "its rows are of different shapes"
        raise ConfigError(f"{where} cannot be read as an array: {reason[:200]}") from error
    if array.dtype == object:
        if array.ndim == 0:
            raise ConfigError(f"{where} is {kind_of(value)}, not an array")
        odd = next((v for v in array.ravel() if not isinstance(v, int | float)), array.ravel()[0])
        raise ConfigError(
            f"{where} holds objects such as {str(odd)[:50]!r}, and numbers are wanted"
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def readable(array: Any) -> bool:
    """Whether this process can see the whole array, which may be spread over several."""
    if not isinstance(array, jax.Array):
        return True
    return array.is_fully_addressable or array.is_fully_replicated


def finite(array: Any) -> bool:
    """Whether no number of a non-empty array is NaN or infinite; True of whole numbers, and of what is not here."""
    if not readable(array) or not jnp.issubdtype(array.dtype, jnp.floating) or array.size == 0:
        return True
    if isinstance(array, jax.Array) and jax.default_backend() != "cpu":
        return bool(jnp.isfinite(jnp.abs(array).max()))
    with np.errstate(invalid="ignore"):
        host = np.asarray(array)
        # Both extremes of an array are NaN where one number is; no mask as large as the array is made.
        return bool(np.isfinite(host.min()) and np.isfinite(host.max()))


def rows_of(value: Any, size: int | None, where: str) -> np.ndarray:
    """int[]: row numbers, given as such or as a mask bool[`size`]; with None their range is not checked."""
    rows = np.asarray(array_of(value, where))
    if rows.dtype == bool:
        if size is None or rows.shape != (size,):
            known = (
                "how many rows there are is not known" if size is None else f"there are {size} rows"
            )
            raise ConfigError(f"{where} is a mask of shape {rows.shape}, and {known}")
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        found = f"{rows.dtype}{list(rows.shape)}"
        raise ConfigError(f"{where} must be a list of row numbers or a mask, not {found}")
    if rows.size and size is not None and not 0 <= rows.min() <= rows.max() < size:
        raise ConfigError(f"{where} holds an index outside of 0 to {size - 1}")
    return rows if rows.size and rows.dtype.kind == "i" else rows.astype(int)


def kind_of(value: Any) -> str:
    """What something that is not wanted is, for a message."""
    if isinstance(value, np.ndarray | jax.Array):
        return f"an array of shape {list(value.shape)} without labels"
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def shape_of(array: Any) -> str:
    """How a message writes the shape of an array."""
    return f"shape {list(array.shape)}"
