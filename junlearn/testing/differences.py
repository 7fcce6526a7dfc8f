"""In what two trees of arrays differ, in a line."""

from typing import Any

import jax
import numpy as np

from junlearn.types import PyTree

__all__ = ["histories_differ", "kinds_differ", "numbers_differ"]


def kinds_differ(one: PyTree, other: PyTree) -> str:
    """How the tree, the shapes or the dtypes of two trees differ; empty where they are equal."""
    was: Any = jax.tree.structure(one)
    now: Any = jax.tree.structure(other)
    if was != now:
        return f"the tree is another: {_cut(now)} instead of {_cut(was)}"
    pairs = zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True)
    changes = [
        f"{_name(path)} is {_kind(b)} instead of {_kind(a)}"
        for (path, a), b in pairs
        if (a.shape, a.dtype) != (b.shape, b.dtype)
    ]
    return _some(changes)


def numbers_differ(one: PyTree, other: PyTree, rtol: float = 0.0, atol: float = 0.0) -> str:
    """How the numbers of two trees differ by more than `atol + rtol |other|`; empty where they do not.

    Without a tolerance they must be equal to the bit, NaN included.
    """
    if kinds := kinds_differ(one, other):
        return kinds
    changes = []
    pairs = zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True)
    for (path, a), b in pairs:
        a, b = _numbers(a), _numbers(b)
        if not rtol and not atol:
            equal = a.tobytes() == b.tobytes()
        else:
            equal = np.allclose(a, b, rtol=rtol, atol=atol)
        if not equal:
            gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
            changes.append(f"{_name(path)} differs by up to {np.nanmax(gap, initial=0):.2g}")
    return _some(changes)


def histories_differ(
    one: list[dict[str, Any]], other: list[dict[str, Any]], rtol: float = 0.0
) -> str:
    """How the metrics of two runs differ, epoch by epoch; empty where they do not."""
    if len(one) != len(other):
        return f"one run has {len(one)} epochs, the other {len(other)}"
    changes = []
    for a, b in zip(one, other, strict=True):
        where = f"stage {a['stage']!r}, epoch {a['epoch']}"
        if a.keys() != b.keys() or a["stage"] != b["stage"]:
            return f"{where}: the metrics have other names"
        for name in a.keys() - {"stage"}:
            if not np.isclose(a[name], b[name], rtol=rtol, atol=1e-12 if rtol else 0.0):
                changes.append(f"{where}: {name} is {a[name]:.6g} and {b[name]:.6g}")
    return _some(changes)


def _numbers(array: Any) -> np.ndarray:
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    return np.asarray(array)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).lstrip(".") or "it"


def _kind(array: Any) -> str:
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _cut(value: Any, most: int = 60) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _some(changes: list[str]) -> str:
    more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
    return changes[0] + more if changes else ""
