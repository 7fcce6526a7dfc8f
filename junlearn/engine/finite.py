"""Divergence: metrics of steps and networks that are not finite, whatever they are called."""

from collections.abc import Mapping

import jax
import numpy as np

from junlearn.errors import DivergedError
from junlearn.types import PyTree, Variables

__all__ = ["check_networks", "first_infinite"]


def first_infinite(
    metrics: Mapping[str, np.ndarray], active: np.ndarray | None = None
) -> tuple[tuple[int, ...], str, float] | None:
    """`(place, name, value)` of the first entry that is NaN or infinite, None where all are finite.

    `metrics` are arrays of one shape, steps first; entries where `active` is False do not count. Of several at one
    step a loss is named.
    """
    found = None
    for name in sorted(metrics, key=lambda name: ("loss" not in name, name)):
        bad = ~np.isfinite(metrics[name])
        if active is not None:
            bad &= active
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            if found is None or place[0] < found[0][0]:
                found = (place, name, float(metrics[name][place]))
    return found


def check_networks(tree: PyTree, where: str) -> None:
    """Raise DivergedError, which begins with `where`, if a network (`Variables`) in `tree` has a number that is not
    finite.
    """
    for networks in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Variables)):
        if not isinstance(networks, Variables):
            continue
        for path, leaf in jax.tree.leaves_with_path(networks):
            values = np.asarray(leaf)
            if np.issubdtype(values.dtype, np.inexact) or values.dtype.kind == "V":
                bad = np.count_nonzero(~np.isfinite(values))
                if bad:
                    name = jax.tree_util.keystr(path, simple=True, separator=".")
                    raise DivergedError(
                        f"{where}: {bad:,} of {values.size:,} numbers of {name} are not finite"
                    )
