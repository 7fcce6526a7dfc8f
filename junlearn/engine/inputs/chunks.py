"""How many networks are taken together, at the door: the way, the chunks and the memory."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from junlearn.engine.memory import available
from junlearn.errors import ConfigError, unknown

__all__ = ["Diverging", "How", "check_ways", "chunks_of", "memory_of"]

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
