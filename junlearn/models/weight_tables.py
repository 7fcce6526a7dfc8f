"""The names and the layout of a network's arrays in PyTorch: one table for both ways, in and out.

A model has a `Table` for each set of names that its networks are known by, a `Row` a layer. What changes on the way:

    convolution   weight [D,C,h,w]       <-> kernel [h,w,C,D]
    linear        weight [D,C]           <-> kernel [C,D]
    linear after a flattened map         <-> rows in PyTorch's order (C,h,w) and in ours (h,w,C)
    BatchNorm     running_mean, _var     <-> `Variables.stats`
    several layers that are one there    <-> a part of its rows each
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["LEAVES", "Row", "Table", "kernel", "own_table", "shapes", "weight"]

LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
"""The leaves of a layer here and in PyTorch."""


class Row(NamedTuple):
    """One layer, or one array, and its name in PyTorch."""

    path: tuple[str, ...]
    """Where it is in `params`."""
    names: tuple[str, ...]
    """Its name in a file, which is the one that is written, and other names that are in use."""
    reads: tuple[int, int] | None = None
    """Of a linear layer: height and width of the map or patch that it reads flattened."""
    convolution: bool = False
    """A linear layer that is written as a convolution: it reads patches."""
    part: tuple[int, int] | None = None
    """(i, n): it is part i of n, counted from 0, of one layer that has the outputs of n layers here."""
    joint: str = "."
    """What stands between the name of the layer and `weight` or `bias`."""
    whole: str = ""
    """What stands before the name in a file that is written; a file that is read may leave it out."""

    def full(self, leaf: str | None) -> list[str]:
        """The names of an array of it, which is called `leaf` here; None: the row is an array itself."""
        return [
            name if leaf is None else f"{name}{self.joint}{LEAVES[leaf]}" for name in self.names
        ]


class Table(NamedTuple):
    """The names of all layers of a network."""

    library: str
    """Whose names they are: torchvision, huggingface, timm; junlearn where the network is known nowhere else."""
    rows: tuple[Row, ...]
    """The head's row last."""


def own_table(
    layers: Iterable[Sequence[str]], reads: dict[tuple[str, ...], tuple[int, int]] | None = None
) -> tuple[Table]:
    """The table of a network that other libraries do not have: its names are the paths of its layers, joined by dots.

    `reads` has the `Row.reads` of those that read a flattened map, by their path.
    """
    reads = reads or {}
    paths = [tuple(path) for path in layers]
    return (Table("junlearn", tuple(Row(p, (".".join(p),), reads.get(p)) for p in paths)),)


def shapes(row: Row, leaf: str | None, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes that an array of `shape` may have in a file; the first is the one that is written."""
    found: list[tuple[int, ...]] = [tuple(shape)]
    if leaf == "kernel" and len(shape) == 4:
        height, width, inputs, outputs = shape
        found = [(outputs, inputs, height, width)]
    elif leaf == "kernel":
        inputs, outputs = shape
        found = [(outputs, inputs)]
        if row.reads is not None:
            found.append((outputs, inputs // (row.reads[0] * row.reads[1]), *row.reads))
        if row.convolution:
            found.reverse()
    if row.part is None:
        return found
    return [(row.part[1] * first, *rest) for first, *rest in found]


def kernel(row: Row, leaf: str | None, array: np.ndarray) -> np.ndarray:
    """What an array of a file is here."""
    if row.part is not None:
        number, count = row.part
        array = np.split(array, count)[number]
    if leaf != "kernel":
        return array
    if row.reads is not None:
        outputs = array.shape[0]
        return array.reshape(outputs, -1, *row.reads).transpose(2, 3, 1, 0).reshape(-1, outputs)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def weight(row: Row, leaf: str | None, value: Any) -> np.ndarray:
    """What an array is in a file: the inverse of `kernel`, but for `Row.part`, whose parts are put together later."""
    array = np.asarray(value)
    if leaf != "kernel":
        return array
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if row.reads is None:
        return array.T
    inputs, outputs = array.shape
    channels = inputs // (row.reads[0] * row.reads[1])
    patches = array.reshape(*row.reads, channels, outputs).transpose(3, 2, 0, 1)
    return patches if row.convolution else patches.reshape(outputs, inputs)
