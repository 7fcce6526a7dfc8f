"""Several processes, on one host or on many, that carry out one run together.

All of them compute: a step is one program over the devices of all, and between the steps every process does the same
from the same data and seeds. What is there once only (locks, files, the clock, the terminal) is the first process's,
and the others go by what it found. A single process passes through all of this as if it were not there.
"""

import os
import pickle
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from junlearn.errors import ConfigError
from junlearn.types import PyTree

__all__ = ["everywhere", "first", "is_first", "join", "put", "same", "together"]

LINE = 512
"""Bytes of what a process can tell the others at once."""

T = TypeVar("T")


def join(experiments: Iterable[Any]) -> None:
    """Join the other processes, if one of the experiments is distributed; before anything is computed.

    Where they are is asked of Slurm, Open MPI, Kubernetes or a TPU's environment; elsewhere JAX_COORDINATOR_ADDRESS
    (HOST:PORT of the first), JAX_NUM_PROCESSES and JAX_PROCESS_ID say it. Raises ConfigError where nothing does.
    """
    if not any(each.loop.distributed for each in experiments) or jax.distributed.is_initialized():
        return
    names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    try:
        count, number = (int(os.environ[name]) if name in os.environ else None for name in names)
        # The service would catch SIGTERM, for a protocol that is not used here: it ends a process as ever.
        jax.config.update("jax_enable_preemption_service", False)
        jax.distributed.initialize(num_processes=count, process_id=number)
    except ValueError as error:
        raise ConfigError(
            f"loop.distributed: {error} No known cluster: set JAX_COORDINATOR_ADDRESS, {' and '.join(names)}"
        ) from error
    # The connections are made by the first collective, and soon or not at all; later ones wait for half an hour.
    multihost_utils.sync_global_devices("joined")


def is_first() -> bool:
    """Whether this process is the one that writes and shows results."""
    return jax.process_index() == 0


def first(work: Callable[[], T]) -> T:
    """What `work` gives in the first process, which alone does it, in all of them; an error too is one of all.

    The value goes from process to process as a pickle.
    """
    if jax.process_count() == 1:
        return work()
    answer = pickle.dumps(_tried(work)) if is_first() else b""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(answer))))
    # A power of two: few sizes, so that other answers hardly ever compile anew.
    content = np.zeros(1 << (size - 1).bit_length(), np.uint8)
    content[: len(answer)] = np.frombuffer(answer, np.uint8)
    error, value = pickle.loads(multihost_utils.broadcast_one_to_all(content).tobytes())
    if error is not None:
        raise error
    return value


def together(work: Callable[[], T]) -> T:
    """What `work` gives in each process, once all have done it: where one fails, the others do not go on alone."""
    if jax.process_count() == 1:
        return work()
    error, value = _tried(work)
    for number, line in enumerate(_lines("" if error is None else f"{error} ")):
        if line and error is None:
            error = ConfigError(f"process {number} of this run stopped: {line}")
    if error is not None:
        raise error
    return value


def same(what: str, digest: Callable[[], str]) -> None:
    """Raise ConfigError unless all processes have the same `digest` (a short text) of `what`."""
    if jax.process_count() > 1 and len(set(_lines(digest()))) > 1:
        raise ConfigError(f"the processes of this run differ in {what}: start the same on all")


def put(tree: PyTree, sharding: NamedSharding) -> PyTree:
    """`tree`, which every process has as a whole, on the devices of `sharding`."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: _spread(leaf, sharding), tree)


def everywhere(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """`tree` as a whole on every device of `mesh`, or as it is where there is none."""
    return tree if mesh is None else put(tree, NamedSharding(mesh, PartitionSpec()))


def _spread(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """Each device gets its part from its own process: `jax.device_put` would compare the content between processes."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _spread(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, whole.__getitem__)


def _tried(work: Callable[[], Any]) -> tuple[Exception | None, Any]:
    """What went wrong, or what came of it."""
    try:
        return None, work()
    except Exception as error:
        return error, None


def _lines(line: str) -> list[str]:
    """The line of every process, in all of them."""
    content = np.frombuffer(line.encode()[:LINE].ljust(LINE, b"\0"), np.uint8)
    rows = multihost_utils.process_allgather(content)
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in rows]
