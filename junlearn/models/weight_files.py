"""Files of weights that PyTorch and safetensors write: every array in one, by its name.

A file is known by its content, not by its suffix. Nothing in it is ever executed: PyTorch's own files are read with
`weights_only=True`. What is no file of weights is refused by what it is, with what to do about it.

Training programs put dictionaries around a network's state. The state is looked for under the names of `STATES`, then
under any other; a network's own weights come before averages of them (`ema`), which are taken where they are alone.
"""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from junlearn.errors import CheckpointError, ConfigError
from junlearn.models.weight_kinds import SAVE, SUFFIXES, kind_of

__all__ = ["Entry", "entries_of", "read_entries"]

STATES = (
    *("state_dict", "model_state_dict", "model_state", "net_state_dict", "model", "net", "network"),
    *("weights", "params", "module"),
)
"""Where training programs put the state of a network."""

AVERAGES = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "model_averaged", "ema"),
    "params_ema",
)
"""Where they put averages of its weights."""

OTHERS = re.compile(r"optim|sched|scaler|callback|loops|hyper|config|args|rng|amp|history|meta")
"""Dictionaries beside it that are no network's."""

FLOATS = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""The kinds of numbers that weights are read from, in safetensors' words and in everybody else's."""

WORDS = {"F": "float", "I": "int", "U": "uint", "C": "complex"}
"""Beginnings of the other kinds in safetensors' words."""


class Entry(NamedTuple):
    """One array of a file."""

    shape: tuple[int, ...]
    kind: str
    """What it holds: `float32`, `int64`, `sparse float32`, `float8_e4m3fn` ..."""
    value: np.ndarray | None
    """Its numbers, if they are floating-point numbers that a network can start from; else None."""


def read_entries(path: Path) -> dict[str, Entry]:
    """Every array in the file at `path` by its name.

    Raises CheckpointError where there is no such file, it is something else, or reading it would run code;
    ConfigError for a file of another program, and where the library that reads it is not installed.
    """
    try:
        if path.is_dir():
            raise CheckpointError(f"weights {path}: this is a directory{_files_in(path)}")
        if not path.is_file():
            raise CheckpointError(f"weights {path}: no such file")
        return _read_safetensors(path) if kind_of(path) == "safetensors" else _read_torch(path)
    except OSError as error:
        raise CheckpointError(f"weights {path}: {error.strerror or error}") from error


def _files_in(directory: Path) -> str:
    """Which file in a directory to name instead."""
    found = sorted(f.name for f in directory.iterdir() if f.suffix in SUFFIXES and f.is_file())
    return f"; name a file in it: {', '.join(found[:3])}" if found else ", a file is needed"


def _read_safetensors(path: Path) -> dict[str, Entry]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ConfigError(
            f"weights {path}: install safetensors to read it (the extra `weights`)"
        ) from error
    entries = {}
    try:
        # numpy alone has no bfloat16.
        with (
            safe_open(path, "np") as file,
            safe_open(path, "flax") as wide,
            jax.default_device(jax.local_devices(backend="cpu")[0]),
        ):
            for name in file.keys():  # noqa: SIM118  # no dict
                part = file.get_slice(name)
                word = part.get_dtype()
                kind = FLOATS.get(word) or re.sub(r"^[A-Z]+", lambda m: WORDS.get(m[0], m[0]), word)
                source = wide if word == "BF16" else file
                value = np.asarray(source.get_tensor(name)) if word in FLOATS else None
                entries[name] = Entry(tuple(part.get_shape()), kind.lower(), value)
    except SafetensorError as error:
        raise CheckpointError(
            f"weights {path}: not a safetensors file, or damaged ({_first_line(error)})"
        ) from error
    return entries


def _read_torch(path: Path) -> dict[str, Entry]:
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            f"weights {path}: install torch to read it (the extra `bench`), "
            "or save the weights as .safetensors"
        ) from error
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch's, on files that it then refuses
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|Unsupported \w+:?) ([\w.]+\.[\w.]+)", str(error))
        raise CheckpointError(
            f"weights {path}: it holds more than tensors{f' ({found[1]})' if found else ''}, and code in a file is "
            f"never run; if you trust it, load it in PyTorch and save the weights alone: {SAVE}"
        ) from error
    except OSError:
        raise
    except Exception as error:  # A damaged file makes PyTorch's reader raise anything.
        raise CheckpointError(
            f"weights {path}: PyTorch cannot read it ({_first_line(error)}): get or save it again"
        ) from error
    state = _state(path, content, torch.is_tensor)
    try:
        return entries_of(state)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise CheckpointError(
            f"weights {path}: it holds tensors that have no numbers of their own ({_first_line(error)}); "
            f"in PyTorch, with plain tensors: {SAVE}"
        ) from error


def entries_of(state: Mapping[str, Any]) -> dict[str, Entry]:
    """Every tensor of a `state_dict` by its name; PyTorch is installed, as there are tensors of it."""
    import torch

    return {
        name: _entry(torch, tensor) for name, tensor in state.items() if torch.is_tensor(tensor)
    }


def _state(path: Path, content: Any, is_tensor: Any, depth: int = 3) -> dict[str, Any]:
    """The tensors by name in what a file holds, and in the dictionaries around them."""
    nothing = CheckpointError(
        f"weights {path}: it is not a state_dict, a dict of tensors by name; in PyTorch: {SAVE}"
    )
    if not isinstance(content, Mapping) or depth < 0:
        raise nothing
    tensors = {name: value for name, value in content.items() if is_tensor(value)}
    inner = {
        name: value
        for name, value in content.items()
        if isinstance(value, Mapping)
        and not OTHERS.search(str(name).lower())
        and _holds(value, is_tensor)
    }
    own = [name for name in STATES if name in inner]
    named = own or [name for name in AVERAGES if name in inner]
    # Beside a state of its own a dict of tensors is something else, such as counts.
    chosen = named or ([] if any("." in str(name) for name in tensors) else list(inner))
    if len(chosen) == 1:
        return _state(path, inner[chosen[0]], is_tensor, depth - 1)
    if chosen:
        names = ", ".join(repr(name) for name in chosen)
        raise CheckpointError(
            f"weights {path}: it holds several dicts of tensors, {names}; save the network's alone: "
            "torch.save(torch.load(FILE)[NAME], 'weights.pt')"
        )
    for name in tensors:
        if not isinstance(name, str):
            raise CheckpointError(
                f"weights {path}: a tensor has the name {name!r}, and names are text as in a state_dict; "
                f"in PyTorch: {SAVE}"
            )
    if not tensors:
        raise nothing
    return tensors


def _holds(value: Any, is_tensor: Any, depth: int = 3) -> bool:
    """Whether there are tensors in `value`, a mapping, or in mappings of it."""
    return any(
        is_tensor(each)
        or (depth > 0 and isinstance(each, Mapping) and _holds(each, is_tensor, depth - 1))
        for each in value.values()
    )


def _entry(torch: Any, tensor: Any) -> Entry:
    """A tensor of PyTorch as numbers, or what it is instead."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_nested:
        return Entry((), f"nested {kind}", None)
    shape = tuple(tensor.shape)
    if tensor.is_meta:
        return Entry(shape, f"meta {kind}", None)
    if tensor.is_quantized:
        return Entry(shape, f"quantised {kind}", None)
    if tensor.layout != torch.strided:
        return Entry(shape, f"sparse {kind}", None)
    if kind not in FLOATS.values():
        return Entry(shape, kind, None)
    # numpy has no bfloat16; what is wider than float32 stays so.
    wide = tensor.detach().resolve_neg()
    return Entry(shape, kind, (wide if kind == "float64" else wide.float()).numpy())


def _first_line(error: Exception) -> str:
    """What an error says, in few words."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:160]
