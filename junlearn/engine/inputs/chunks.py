"""Many networks at the door: their sets, keys and seeds, the way they are taken together, the chunks and the memory."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import numpy as np
from jax.sharding import Mesh

from junlearn.engine.inputs.arrays import array_of, kind_of, rows_of
from junlearn.engine.inputs.options import keys_of, seed_of
from junlearn.engine.memory import available
from junlearn.errors import ConfigError, unknown
from junlearn.types import Key

__all__ = [
    "Diverging",
    "How",
    "check_ways",
    "chunks_of",
    "memory_of",
    "models_mesh",
    "places_of",
    "sets_of",
]

How = Literal["auto", "vmap", "patches", "map", "loop"]
Diverging = Literal["raise", "kept"]


def check_ways(how: Any, diverging: Any) -> None:
    """Raises ConfigError unless both exist."""
    if how not in get_args(How):
        raise unknown("how", how, get_args(How))
    if diverging not in get_args(Diverging):
        raise unknown("diverging", diverging, get_args(Diverging))


def memory_of(memory: Any, where: str) -> int:
    """Bytes for the models of a chunk; of None what is available."""
    if memory is None:
        return available()
    if not isinstance(memory, int | np.integer) or memory <= 0:
        raise ConfigError(f"{where}: memory is {memory!r}: a number of bytes is wanted, or None")
    return int(memory)


def places_of(places: Any, where: str) -> int | None:
    """Models side by side on a device. Raises ConfigError for what is no whole number from 1 on."""
    if places is None:
        return None
    if isinstance(places, bool) or not isinstance(places, int | np.integer) or places < 1:
        raise ConfigError(
            f"{where}: places is {places!r}: a whole number from 1 on is wanted, or None"
        )
    return int(places)


def models_mesh(mesh: Mesh | None, where: str) -> Mesh | None:
    """The mesh that models are spread over. Raises ConfigError where devices of other processes are in it."""
    if mesh is None:
        return None
    if mesh.size != len(mesh.local_devices):
        raise ConfigError(
            f"{where}: mesh has devices of other processes, and models are spread over those of one: "
            "pass a mesh of jax.local_devices(), and let each process train models of its own"
        )
    return mesh


def chunks_of(
    chunks: Sequence[Sequence[int]] | None, places: int | None, count: int, where: str
) -> tuple[list[list[int]] | None, int | None]:
    """The chunks that somebody fixed, as lists, and their number of places: by default that of the longest one.

    Raises ConfigError where a number is no model's or is there twice, a chunk is empty, or one has too few places.
    """
    if chunks is None:
        if places is not None:
            raise ConfigError(f"{where}: places is the size of chunks: give chunks, too")
        return None, None
    fixed = [[int(number) for number in chunk] for chunk in chunks]
    numbers = [number for chunk in fixed for number in chunk]
    if not all(fixed) or len(set(numbers)) != len(numbers):
        raise ConfigError(f"{where}: a chunk holds at least one model, and each model is in one")
    if wrong := [number for number in numbers if not 0 <= number < count]:
        raise ConfigError(f"{where}: chunks hold {wrong[0]}, and models are 0 to {count - 1}")
    most = max(map(len, fixed), default=1)
    if places is not None and places < most:
        raise ConfigError(f"{where}: a chunk of {most} models has more than {places} places")
    return fixed, most if places is None else places


def sets_of(
    size: int,
    retains: Sequence[np.ndarray | Sequence[int]] | None,
    keys: Sequence[Key] | Key | None,
    seeds: Sequence[int] | int,
    where: str,
) -> tuple[list[np.ndarray], list[Key], list[int]]:
    """The sets that models are trained on, a key and a seed for each. Raises ConfigError for what does not fit."""
    given = keys_of(keys, f"{where}: keys")
    if retains is None:
        if not isinstance(given, list):
            raise ConfigError(f"{where}: give sets to train on, or one key a model")
        retains = [np.arange(size)] * len(given)
    if not isinstance(retains, Iterable) or isinstance(retains, str | Mapping):
        raise ConfigError(f"{where}: retains is {kind_of(retains)}: a list of sets is wanted")
    sets = [_set(rows, size, f"{where}: set {i}") for i, rows in enumerate(retains)]
    if not sets:
        raise ConfigError(f"{where}: there is no model to train: give at least one set or key")
    if not isinstance(given, list):
        given = list(jax.random.split(jax.random.key(0) if given is None else given, len(sets)))
    if not isinstance(seeds, list | tuple | range | np.ndarray) or np.ndim(seeds) == 0:
        seeds = [seeds] * len(sets)  # type: ignore[list-item]
    seeds = [seed_of(seed, f"{where}: seeds[{i}]") for i, seed in enumerate(seeds)]
    for name, values in (("keys", given), ("seeds", seeds)):
        if len(values) != len(sets):
            raise ConfigError(f"{where}: {len(sets)} models, but {len(values)} {name}")
    return sets, given, seeds


def _set(rows: Any, size: int, where: str) -> np.ndarray:
    """int[N]: the rows of one model, which may hold a row more than once."""
    numbers = np.asarray(array_of(rows, where))
    if numbers.ndim != 1 or numbers.size == 0 or numbers.dtype.kind not in "iu":
        raise ConfigError(f"{where} is not a list of at least one index")
    return rows_of(numbers, size, where)
