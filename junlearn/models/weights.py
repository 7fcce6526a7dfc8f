"""Pretrained weights: initial values of a network from a file that PyTorch or safetensors wrote.

A model says in a table of `Row`s which names its layers have in such a file. Every name and every shape is checked;
a name that is missing, left over or of another shape is an error that names it. What changes on the way:

    convolution   weight [D,C,h,w]       -> kernel [h,w,C,D]
    linear        weight [D,C]           -> kernel [C,D]
    linear after a flattened map         -> rows from PyTorch's order (C,h,w) to ours (h,w,C)
    BatchNorm     running_mean, _var     -> `Variables.stats`

What wrappers and training programs put around names and arrays is recognised (`weight_names`, `weight_files`); nothing
in a file is ever executed. Numbers that no training gives (NaN, infinite, a negative variance, nothing but zeros) and
numbers that are no floating-point ones (quantised, sparse, complex ...) are errors too.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from junlearn.errors import CheckpointError
from junlearn.fields import File
from junlearn.models.weight_files import read_entries
from junlearn.models.weight_misfits import Misfit, complaint
from junlearn.models.weight_names import bare, ignored
from junlearn.types import Array, Key, Model, Variables

__all__ = ["Pretrained", "Row", "file_digest", "load_weights", "pretrained"]

LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
"""The leaves of a layer here and in PyTorch."""


class Row(NamedTuple):
    """One layer, or one array, and its name in a file."""

    path: tuple[str, ...]
    """Where it is in `params`."""
    names: tuple[str, ...]
    """Its name in a file, and other names that are in use."""
    reads: tuple[int, int] | None = None
    """Of a linear layer: height and width of the map or patch that it reads flattened."""


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """The fields of a model that can start from a file."""

    weights: File | None = None
    """A `.safetensors` or PyTorch file (`.pt`, `.pth`, `.bin`) of weights: every fresh network starts from them, the
    retrained one and an incompetent teacher as well. None: random initial values."""
    weights_head: Literal["keep", "fresh"] = "keep"
    """fresh: the head is drawn at random, whatever the file holds for it (another number of classes, or nothing)."""


def pretrained(
    model: Model,
    config: Pretrained,
    rows: Sequence[Row],
    head: tuple[str, ...] = ("head",),
    *,
    fresh: tuple[str, ...] = (),
) -> Model:
    """`model` with an `init` that puts the arrays of `config.weights` in the place of what it draws.

    `head` names the groups of parameters that stay random with `weights_head="fresh"`, `fresh` those that do in any
    case. The file is read here, once.
    Raises as `load_weights` does.
    """
    if config.weights is None:
        return model
    shape = (1, *model.input_shape)  # type: ignore[misc]  # every registered model has one
    drawn = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
    fresh = (*fresh, *head) if config.weights_head == "fresh" else fresh
    loaded = jax.tree.leaves(load_weights(config.weights, rows, drawn, fresh=fresh))
    arrays = [leaf for leaf in loaded if isinstance(leaf, np.ndarray)]

    def init(key: Key, x: Array) -> Variables:
        leaves, structure = jax.tree.flatten(model.init(key, x))
        # Called back, not closed over: hundreds of megabytes have no place among the constants of a compiled program.
        kinds = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
        values = iter(jax.pure_callback(lambda: arrays, kinds))
        return jax.tree.unflatten(
            structure,
            [
                next(values) if isinstance(new, np.ndarray) else old
                for old, new in zip(leaves, loaded, strict=True)
            ],
        )

    return model._replace(init=init)


def load_weights(
    path: str | Path, rows: Sequence[Row], variables: Variables, *, fresh: Iterable[str] = ()
) -> Variables:
    """`variables` with numpy arrays from the file at `path` in the place of all that `rows` name, the head's row last.

    `variables` may be abstract (`jax.eval_shape`). The groups in `fresh` (a top-level one, or a layer in it as
    "stem.conv") stay as they are, and what the file holds below their names is passed over.

    Raises CheckpointError where the file does not exist, cannot be read without running code, or does not fit;
    ConfigError where the library that reads it is not installed.
    """
    path = Path(path).expanduser()
    entries = read_entries(path)
    flat = flatten_dict({"params": variables.params, **variables.stats})
    passed, targets = _targets(rows, flat, [tuple(name.split(".")) for name in fresh])
    wanted = {name for target in targets for name in target.names}
    fillers = {f"{name}.{leaf}" for name in passed for leaf in LEAVES.values()}
    try:
        given = bare(entries, wanted | fillers)
    except ValueError as error:
        raise CheckpointError(f"weights {path} do not fit the model; {error}") from error
    entries = {own: entries[name] for name, own in given.items()}
    unexpected = [
        name
        for name in entries
        if name not in wanted
        and not ignored(name)
        and not any(name.startswith(f"{each}.") for each in passed)
    ]
    misfit = Misfit([], [], [], [], unexpected)
    kernels = []
    for target in targets:
        name = next((name for name in target.names if name in entries), target.names[0])
        if name not in entries:
            misfit.missing.append(name)
            continue
        shape, kind, array = entries[name]
        if array is None:
            misfit.kinds.append((name, kind))
        elif shape not in target.shapes:
            misfit.shapes.append((name, shape, target.shapes[0]))
        else:
            value = _cast(array, flat[target.place].dtype)
            if wrong := _impossible(value, target.leaf):
                misfit.values.append(f"{name!r} {wrong}")
            if target.leaf == "kernel":
                value = _kernel(value, target.reads)
                kernels.append(value)
            flat[target.place] = np.ascontiguousarray(value)
    if kernels and not any(kernel.any() for kernel in kernels):
        misfit.values.append("every weight is zero")
    if any(misfit):
        text = complaint(misfit, entries)
        head = rows[-1].names[0]
        if any(
            n.startswith(f"{head}.") for n in (*misfit.missing, *(n for n, *_ in misfit.shapes))
        ):
            text += "; weights_head=fresh draws a random head instead"
        raise CheckpointError(f"weights {path} do not fit the model; {text}")
    collections = unflatten_dict(flat)
    return Variables(collections.pop("params"), collections)


def file_digest(path: str | Path) -> str:
    """A hash of a file's content. Raises CheckpointError where it cannot be read."""
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


class _Target(NamedTuple):
    """An array of the network that a file must have."""

    place: tuple[str, ...]
    leaf: str | None
    names: list[str]
    shapes: list[tuple[int, ...]]
    """Those that it may have in a file; the first is the usual one."""
    reads: tuple[int, int] | None


def _targets(
    rows: Sequence[Row], flat: Mapping[tuple[str, ...], Any], left: Sequence[tuple[str, ...]]
) -> tuple[list[str], list[_Target]]:
    """Names of the layers that stay as they are (those below a path in `left`), and the arrays of all others."""
    passed: list[str] = []
    targets: list[_Target] = []
    for row in rows:
        if any(row.path[: len(path)] == path for path in left):
            passed += row.names
            continue
        for place in [place for place in flat if place[1 : 1 + len(row.path)] == row.path]:
            leaf = place[-1] if len(place) == len(row.path) + 2 else None
            names = [name if leaf is None else f"{name}.{LEAVES[leaf]}" for name in row.names]
            shapes = _shapes_in_file(flat[place].shape, leaf, row.reads)
            targets.append(_Target(place, leaf, names, shapes, row.reads))
    return passed, targets


def _cast(array: np.ndarray, dtype: Any) -> np.ndarray:
    """`array` as `dtype`; a number that has no room there becomes infinite, and is refused as such."""
    with np.errstate(over="ignore"):
        return np.asarray(array, dtype)


def _impossible(value: np.ndarray, leaf: str | None) -> str:
    """What is wrong with the numbers of an array, if no training gives them."""
    if np.isnan(value).any():
        return "has NaN"
    if not np.isfinite(value).all():
        return "has infinite numbers"
    return "has negative variances" if leaf == "var" and (value < 0).any() else ""


def _shapes_in_file(
    shape: tuple[int, ...], leaf: str | None, reads: tuple[int, int] | None
) -> list[tuple[int, ...]]:
    """The shapes that an array may have in a file; the first is the usual one."""
    if leaf != "kernel":
        return [shape]
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        return [(outputs, inputs, height, width)]
    inputs, outputs = shape
    if reads is None:
        return [(outputs, inputs)]
    return [(outputs, inputs), (outputs, inputs // (reads[0] * reads[1]), *reads)]


def _kernel(weight: np.ndarray, reads: tuple[int, int] | None) -> np.ndarray:
    """The kernel of a convolution or linear layer from PyTorch's weight."""
    if reads is not None:
        outputs = weight.shape[0]
        return weight.reshape(outputs, -1, *reads).transpose(2, 3, 1, 0).reshape(-1, outputs)
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
