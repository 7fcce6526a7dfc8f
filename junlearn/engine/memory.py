"""How many models have room on the device at a time."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from junlearn.engine.precision import matmul_precision
from junlearn.errors import ConfigError
from junlearn.memo import remembered

__all__ = [
    "DEFAULT_MEMORY",
    "available",
    "compiled",
    "largest_chunk",
    "program_bytes",
    "program_flops",
]

DEFAULT_MEMORY = 2 << 30
"""Bytes on a device that does not say how much memory it has, such as a CPU."""
SHARE = 0.6
"""Share of what is free on the others."""
UNKNOWN = 4
"""Memory of a compiled program over the size of its state, where the compiler does not say."""


def available() -> int:
    """Bytes that the models of a chunk may take where nobody has said."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in stats:
        return DEFAULT_MEMORY
    return int(SHARE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))


def largest_chunk(
    build: Callable[[int], Any], count: int, state_bytes: int, data_bytes: int, limit: int
) -> tuple[int, Any]:
    """`(C, build(C))`, `build` compiling for a chunk of C of `count` models: as large as `limit` bytes allow.

    The number of chunks is the smallest that will do, and their sizes are even. `state_bytes` are those of one model,
    `data_bytes` those of the arguments that are on the device in any case (`keep_unused`, so that all of them count).
    Raises ConfigError where one model is too large.
    """
    size = _even(count, max(1, min(count, limit // max(state_bytes, 1))))
    while True:
        program = build(size)
        need = program_bytes(program, size * state_bytes, data_bytes)
        if need <= limit:
            return size, program
        if size == 1:
            raise ConfigError(
                f"one model takes {need / 2**20:.2f} MiB in this program, and memory is {limit / 2**20:.2f} MiB: "
                "allow more, or use smaller batches"
            )
        size = _even(count, max(1, min(size - 1, limit * size // need)))


def compiled(function: Any, *arguments: Any) -> Any:
    """The jitted `function` compiled for arguments of these shapes: the same program for the same function again."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda *given: given, *arguments))
    return _compiled(function, structure, tuple(leaves), matmul_precision())


@remembered
def _compiled(
    function: Any, structure: Any, leaves: tuple[jax.ShapeDtypeStruct, ...], precision: str
) -> Any:
    del precision  # It is in force where this is called, and a part of the program.
    return function.lower(*jax.tree.unflatten(structure, leaves)).compile()


def _even(count: int, most: int) -> int:
    """The size of equal chunks of at most `most`, as few as possible."""
    return -(-count // -(-count // most))


def program_bytes(program: Any, state_bytes: int, data_bytes: int) -> int:
    """Bytes of a compiled program beside the data, of one over a mesh on a device."""
    size = _told(program.memory_analysis)
    if size is None:
        return UNKNOWN * state_bytes
    total = size.argument_size_in_bytes + size.output_size_in_bytes + size.temp_size_in_bytes
    return max(total - size.alias_size_in_bytes - data_bytes, state_bytes)


def program_flops(program: Any) -> float:
    """Floating point operations of a compiled program, as XLA counts them; infinite where it does not say."""
    return float((_told(program.cost_analysis) or {}).get("flops", np.inf))


def _told(question: Callable[[], Any]) -> Any:
    """What the compiler says of a program; None where it does not."""
    try:
        return question()
    except NotImplementedError:
        return None
