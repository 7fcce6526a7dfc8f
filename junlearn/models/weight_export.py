"""A network as PyTorch has it: every array under its name there, in memory or in a file.

Pure functions of a model, its variables and nothing else. What is written is what `junlearn.models.weights` reads, bit
for bit. BatchNorm's `num_batches_tracked` is there too and is 0, because no count is kept here; PyTorch reads it only
with `momentum=None`.
"""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from junlearn.errors import ConfigError, unknown
from junlearn.files import replacing
from junlearn.models.weight_tables import Row, Table, weight
from junlearn.types import Model, Variables

__all__ = [
    "DTYPES",
    "Dtype",
    "check_library",
    "named_arrays",
    "table_of",
    "tensors",
    "write",
]

Dtype = Literal["float32", "bfloat16"]
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")
"""In which an export can be written; bfloat16 rounds, and takes half the bytes."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def table_of(model: Model, names: str | None = None) -> Table:
    """The table of a model with the names of the library `names`; None: of the one that is usual for it.

    Raises ConfigError where it has none.
    """
    tables = {table.library: table for table in model.tables}
    if not tables:
        raise ConfigError(
            "no names in PyTorch are known of this network: give the model a table of them, "
            "model._replace(tables=(junlearn.models.Table(...),))"
        )
    if names is None:
        return model.tables[0]
    if names not in tables:
        raise unknown("names", names, tables)
    return tables[names]


def named_arrays(
    model: Model, variables: Variables, *, names: str | None = None, dtype: Dtype = "float32"
) -> dict[str, np.ndarray]:
    """Every array of a network by its name in PyTorch, running statistics and `num_batches_tracked` (int64[]) too.

    The others are float32, or as `dtype` says. Raises ConfigError where the model has no such names, and where the
    variables hold an array that the table does not name.
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    table = table_of(model, names)
    flat = flatten_dict({"params": variables.params, **variables.stats})
    found: dict[str, np.ndarray] = {}
    parts: dict[str, list[np.ndarray]] = {}
    left = dict(flat)
    for row in table.rows:
        places = [place for place in flat if place[1 : 1 + len(row.path)] == row.path]
        for place in sorted(places, key=lambda p: p[0] != "params"):
            leaf = place[-1] if len(place) == len(row.path) + 2 else None
            name = row.whole + row.full(leaf)[0]
            value = np.asarray(jax.device_get(left.pop(place)), np.float32)
            _check(row, leaf, value, name)
            array = weight(row, leaf, value)
            if row.part is None:
                found[name] = array
            else:
                parts.setdefault(name, []).append(array)
                found[name] = np.concatenate(parts[name])
            if leaf == "var":
                counted = f"{row.whole}{row.names[0]}.num_batches_tracked"
                found[counted] = np.zeros((), np.int64)
    if left:
        missing = ", ".join("/".join(place) for place in list(left)[:3])
        raise ConfigError(
            f"the table of names ({table.library}) is of another network: it does not name {missing}"
        )
    kind = jnp.bfloat16 if dtype == "bfloat16" else np.float32
    return {
        name: array if array.dtype == np.int64 else np.ascontiguousarray(array, kind)
        for name, array in found.items()
    }


def check_library(path: Path) -> None:
    """Raise ConfigError where `write` could not write a file of this name: its suffix, or a library that is missing."""
    library = "safetensors" if path.suffix == ".safetensors" else "torch"
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: the name of a file in {', '.join(SUFFIXES)} is needed")
    try:
        importlib.import_module(library)
    except ImportError as error:
        extra = "weights" if library == "safetensors" else "bench"
        other = "" if library == "safetensors" else ", or name a .safetensors file"
        raise ConfigError(
            f"{path}: install {library} to write it (the extra `{extra}`){other}"
        ) from error


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write arrays to a file, whole or not at all: as safetensors, or by its suffix as a `state_dict` of PyTorch.

    `about` says of a safetensors file what it holds; it is JSON under `junlearn` in the file's metadata.
    Raises ConfigError as `check_library` does.
    """
    check_library(path)
    if path.suffix == ".safetensors":
        from safetensors.numpy import save

        content = save(dict(arrays), {"format": "pt", "junlearn": json.dumps(about)})
        with replacing(path) as file:
            file.write(_in_order(content))
        return
    import torch

    with replacing(path) as file:
        torch.save(tensors(arrays), file)


def _in_order(content: bytes) -> bytes:
    """The content of a safetensors file with its metadata in order, which safetensors writes in a random one.

    So the same network gives the same bytes.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # Spaces fill it up, so that the arrays behind it stay aligned.
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays as tensors of the same bits, which are copies. Raises ConfigError where PyTorch is not installed."""
    try:
        import torch
    except ImportError as error:
        raise ConfigError("tensors need torch: install the extra `bench`") from error

    def tensor(array: np.ndarray) -> Any:
        if array.dtype == jnp.bfloat16:
            return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(array.copy())

    return {name: tensor(array) for name, array in arrays.items()}


def _check(row: Row, leaf: str | None, value: np.ndarray, name: str) -> None:
    """Raise ConfigError where an array has another number of axes, or another length, than its row says."""
    wanted = {"kernel": (2, 4), "scale": (1,), "bias": (1,), "mean": (1,), "var": (1,)}
    fits = leaf is None or value.ndim in wanted.get(leaf, ())
    if fits and leaf == "kernel" and row.reads is not None:
        down, across = row.reads
        fits = value.ndim == 2 and value.shape[0] % (down * across) == 0
    if not fits:
        raise ConfigError(f"{name}: an array of {value.shape} is of another network")
