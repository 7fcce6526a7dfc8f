"""Pretrained weights: initial values of a network from a file that PyTorch or safetensors wrote.

A model says in a table of `Row`s which names its layers have in such a file. Every name and every shape is checked;
a name that is missing, left over or of another shape is an error that names it. What changes on the way:

    convolution   weight [D,C,h,w]       -> kernel [h,w,C,D]
    linear        weight [D,C]           -> kernel [C,D]
    linear after a flattened map         -> rows from PyTorch's order (C,h,w) to ours (h,w,C)
    BatchNorm     running_mean, _var     -> `Variables.stats`

Nothing in a file is ever executed: PyTorch's own files are read with `weights_only=True`.
"""

import difflib
import hashlib
import pickle
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from junlearn.errors import CheckpointError, ConfigError
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

PREFIXES = ("module.", "vit.")
"""What wrappers put before every name: DataParallel, and the classifiers of Hugging Face."""

IGNORED = ("*num_batches_tracked", "*position_ids", "pooler.*")
"""Names without a counterpart: nothing that a network computes here depends on them."""

TORCH_FILES = (".pt", ".pth", ".bin")

NAMED = 3
"""Names of one kind of mistake that an error spells out."""


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

    weights: str | None = None
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
    arrays = {_bare(name): array for name, array in _read(path).items()}
    flat = flatten_dict({"params": variables.params, **variables.stats})
    left = [tuple(name.split(".")) for name in fresh]
    missing: list[str] = []
    misshapen: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    wanted: set[str] = set()
    ignored = list(IGNORED)
    for row in rows:
        if any(row.path[: len(path)] == path for path in left):
            ignored += [f"{name}.*" for name in row.names]
            continue
        for place in [place for place in flat if place[1 : 1 + len(row.path)] == row.path]:
            leaf = place[-1] if len(place) == len(row.path) + 2 else None
            names = [name if leaf is None else f"{name}.{LEAVES[leaf]}" for name in row.names]
            wanted |= set(names)
            name = next((name for name in names if name in arrays), names[0])
            if name not in arrays:
                missing.append(name)
                continue
            shapes = _shapes_in_file(flat[place].shape, leaf, row.reads)
            if arrays[name].shape not in shapes:
                misshapen.append((name, arrays[name].shape, shapes[0]))
                continue
            value = arrays[name] if leaf != "kernel" else _kernel(arrays[name], row.reads)
            flat[place] = np.ascontiguousarray(value, flat[place].dtype)
    unexpected = [
        name
        for name in arrays
        if name not in wanted and not any(fnmatch(name, pattern) for pattern in ignored)
    ]
    if missing or misshapen or unexpected:
        complaint = _complaint(missing, misshapen, unexpected)
        head = rows[-1].names[0]
        if any(
            name.startswith(f"{head}.") for name in (*missing, *(name for name, *_ in misshapen))
        ):
            complaint += "; weights_head=fresh draws a random head instead"
        raise CheckpointError(f"weights {path} do not fit the model; {complaint}")
    collections = unflatten_dict(flat)
    return Variables(collections.pop("params"), collections)


def file_digest(path: str | Path) -> str:
    """A hash of a file's content. Raises CheckpointError where it cannot be read."""
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def _bare(name: str) -> str:
    """`name` without what wrappers put before it."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


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


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """Every array in a file by its name."""
    if not path.is_file():
        raise CheckpointError(f"weights {path}: no such file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in TORCH_FILES:
        return _read_torch(path)
    raise ConfigError(
        f"weights {path}: a file of kind .safetensors, {', '.join(TORCH_FILES)} is needed"
    )


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.flax import load_file
    except ImportError as error:
        raise ConfigError(
            f"weights {path}: install safetensors to read it (the extra `weights`)"
        ) from error
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return {name: np.asarray(array) for name, array in load_file(path).items()}
    except SafetensorError as error:
        raise CheckpointError(f"weights {path}: not a safetensors file ({error})") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            f"weights {path}: install torch to read it (the extra `bench`), "
            "or save the weights as .safetensors"
        ) from error
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch's, on files that it then refuses
            tensors: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"weights {path}: it holds more than tensors, and code in a file is never run; "
            "save model.state_dict() instead of the model"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(f"weights {path}: PyTorch cannot read it ({error})") from error
    if isinstance(tensors, Mapping) and isinstance(tensors.get("state_dict"), Mapping):
        tensors = tensors["state_dict"]
    if not isinstance(tensors, Mapping) or not all(map(torch.is_tensor, tensors.values())):
        raise CheckpointError(f"weights {path}: it is not a state_dict, a dict of tensors by name")
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def _complaint(
    missing: list[str],
    misshapen: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
    unexpected: list[str],
) -> str:
    """All that does not fit, on one line; what is missing and what is left over point at each other."""

    def nearest(name: str, others: list[str]) -> str:
        near = difflib.get_close_matches(name, others, n=1)
        return f"{name!r} (nearest: {near[0]!r})" if near else repr(name)

    kinds = {
        "missing": [nearest(name, unexpected) for name in missing],
        "of another shape": [
            f"{name!r} is {list(shape)} and must be {list(needed)}"
            for name, shape, needed in misshapen
        ],
        "unexpected": [nearest(name, missing) for name in unexpected],
    }
    return "; ".join(
        f"{kind}: {', '.join(texts[:NAMED])}"
        + (f" and {len(texts) - NAMED} more" if len(texts) > NAMED else "")
        for kind, texts in kinds.items()
        if texts
    )
