"""Weights of a network from a file that PyTorch or safetensors wrote, by the tables of `weight_tables`.

Every name and every shape is checked; a name that is missing, left over or of another shape is an error that names it.
Of a model's tables the one is taken that has most names of the file. What wrappers and training programs put around
names and arrays is recognised (`weight_names`, `weight_files`); nothing in a file is ever executed. Numbers that no
training gives (NaN, infinite, a negative variance, nothing but zeros) and numbers that are no floating-point ones
(quantised, sparse, complex ...) are errors too.
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
from junlearn.models.weight_files import Entry, read_entries
from junlearn.models.weight_misfits import Misfit, complaint
from junlearn.models.weight_names import bare, ignored
from junlearn.models.weight_tables import LEAVES, Row, Table, kernel, shapes
from junlearn.types import Array, Key, Model, Variables

__all__ = ["Pretrained", "file_digest", "fit", "load_weights", "pretrained"]

FRESH_HEAD = "weights_head=fresh draws a random head instead"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """The fields of a model that can start from a file."""

    weights: str | None = None
    """A `.safetensors` or PyTorch file (`.pt`, `.pth`, `.bin`) of weights: every fresh network starts from them, the
    retrained one and an incompetent teacher as well. None: random initial values."""
    weights_head: Literal["keep", "fresh"] = "keep"
    """fresh: the head is drawn at random, whatever the file holds for it (another number of classes, or nothing)."""


def pretrained(
    model: Model,
    config: Pretrained,
    tables: tuple[Table, ...],
    head: tuple[str, ...] = ("head",),
    *,
    fresh: tuple[str, ...] = (),
) -> Model:
    """`model` with its tables, and an `init` that puts the arrays of `config.weights` in the place of what it draws.

    `head` names the groups of parameters that stay random with `weights_head="fresh"`, `fresh` those that do in any
    case. The file is read here, once.
    Raises as `load_weights` does.
    """
    model = model._replace(tables=tables)
    if config.weights is None:
        return model
    shape = (1, *model.input_shape)  # type: ignore[misc]  # every registered model has one
    drawn = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
    fresh = (*fresh, *head) if config.weights_head == "fresh" else fresh
    loaded = jax.tree.leaves(load_weights(config.weights, tables, drawn, fresh=fresh))
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
    path: str | Path,
    tables: Sequence[Table],
    variables: Variables,
    *,
    fresh: Iterable[str] = (),
    remedy: str = FRESH_HEAD,
) -> Variables:
    """`variables` with numpy arrays from the file at `path` in the place of all that a table names.

    `variables` may be abstract (`jax.eval_shape`). The groups in `fresh` (a top-level one, or a layer in it as
    "stem.conv") stay as they are, and what the file holds below their names is passed over. `remedy` is said where the
    head does not fit.

    Raises CheckpointError where the file does not exist, cannot be read without running code, or does not fit;
    ConfigError where the library that reads it is not installed.
    """
    path = Path(path).expanduser()
    what = f"weights {path} do not fit the model"
    return fit(read_entries(path), tables, variables, what, fresh=fresh, remedy=remedy)


def fit(
    entries: Mapping[str, Entry],
    tables: Sequence[Table],
    variables: Variables,
    what: str,
    *,
    fresh: Iterable[str] = (),
    remedy: str = "",
) -> Variables:
    """As `load_weights`, from the arrays of a file. `what` begins the errors."""
    flat = flatten_dict({"params": variables.params, **variables.stats})
    left = [tuple(name.split(".")) for name in fresh]
    try:
        reading = _best(entries, tables, flat, left)
    except ValueError as error:
        raise CheckpointError(f"{what}; {error}") from error
    found = reading.entries
    misfit = Misfit([], [], [], [], reading.unexpected)
    kernels: list[np.ndarray] = []
    wrong_names: set[str] = set()
    for target in reading.targets:
        name = next((name for name in target.names if name in found), target.names[0])
        # Several layers here can be one there.
        if name in wrong_names:
            continue
        wrong_names.add(name)
        entry = found.get(name)
        if entry is None:
            misfit.missing.append(name)
        elif entry.value is None:
            misfit.kinds.append((name, entry.kind))
        elif entry.shape not in target.shapes:
            misfit.shapes.append((name, entry.shape, target.shapes[0]))
        else:
            value = _cast(entry.value, flat[target.place].dtype)
            if wrong := _impossible(value, target.leaf):
                misfit.values.append(f"{name!r} {wrong}")
            else:
                wrong_names.remove(name)
            value = kernel(target.row, target.leaf, value)
            if target.leaf == "kernel":
                kernels.append(value)
            flat[target.place] = np.array(value, order="C")
    if kernels and not any(kernel.any() for kernel in kernels):
        misfit.values.append("every weight is zero")
    if any(misfit):
        text = complaint(misfit, found)
        head = f"{reading.table.rows[-1].names[0]}."
        missing = (*misfit.missing, *(name for name, *_ in misfit.shapes))
        if remedy and any(name.startswith(head) for name in missing):
            text += f"; {remedy}"
        raise CheckpointError(f"{what}; {text}")
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
    row: Row
    leaf: str | None
    names: list[str]
    shapes: list[tuple[int, ...]]
    """Those that it may have in a file; the first is the usual one."""


class _Reading(NamedTuple):
    """A file by the names of one table."""

    table: Table
    targets: list[_Target]
    entries: dict[str, Entry]
    """The arrays of the file under the network's own names."""
    unexpected: list[str]

    @property
    def found(self) -> int:
        """How many arrays of the network are there."""
        return sum(any(name in self.entries for name in target.names) for target in self.targets)


def _best(
    entries: Mapping[str, Entry],
    tables: Sequence[Table],
    flat: Mapping[tuple[str, ...], Any],
    left: Sequence[tuple[str, ...]],
) -> _Reading:
    """The file by the table that has most of its names; as many: the first. Raises ValueError as `bare` does."""
    readings = []
    errors = []
    for table in tables:
        try:
            readings.append(_read(entries, table, flat, left))
        except ValueError as error:
            errors.append(error)
    if not readings:
        raise errors[0]
    return max(readings, key=lambda reading: reading.found)


def _read(
    entries: Mapping[str, Entry],
    table: Table,
    flat: Mapping[tuple[str, ...], Any],
    left: Sequence[tuple[str, ...]],
) -> _Reading:
    passed: list[Row] = []
    targets: list[_Target] = []
    for row in table.rows:
        if any(row.path[: len(path)] == path for path in left):
            passed.append(row)
            continue
        for place in [place for place in flat if place[1 : 1 + len(row.path)] == row.path]:
            leaf = place[-1] if len(place) == len(row.path) + 2 else None
            fitting = shapes(row, leaf, flat[place].shape)
            targets.append(_Target(place, row, leaf, row.full(leaf), fitting))
    wanted = {name for target in targets for name in target.names}
    fillers = {name for row in passed for leaf in LEAVES for name in row.full(leaf)}
    below = tuple(f"{name}." for row in passed for name in row.names)
    named = {own: entries[name] for name, own in bare(entries, wanted | fillers).items()}
    unexpected = [
        name
        for name in named
        if name not in wanted and not ignored(name) and not name.startswith(below)
    ]
    return _Reading(table, targets, named, unexpected)


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
