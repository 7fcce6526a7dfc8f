"""The compiled step of stages, and how many steps are run before the host looks again."""

import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import chex
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from junlearn.compiler import jitted
from junlearn.engine import processes, traces
from junlearn.engine.batches import Keys, Rows, Spec, gather
from junlearn.engine.finite import first_infinite
from junlearn.engine.precision import matmul_precision
from junlearn.errors import DivergedError
from junlearn.memo import remembered
from junlearn.types import Metrics, PyTree, Sources, View

__all__ = ["Clock", "Epoch", "Program", "program_of"]

SYNC_SECONDS = 0.5
"""Wall time between two looks of the host at the metrics in the Python loop."""
SCAN_STEPS = (64, 8, 1)
"""Numbers of steps in one compiled scan: the same for epochs of all lengths, so that no length compiles its own."""


class Clock:
    """The times of a program in one run: it adds to the run's `seconds` "compile" and "run"."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.steps_per_sync = 1

    def ran(self, took: float, count: int) -> None:
        """`count` steps took so many seconds: how many to do before the host looks again."""
        self.seconds["run"] += took
        wanted = SYNC_SECONDS / max(took / count, 1e-6)
        # Doubling at most: the first step of a program can be slower or faster than the rest.
        self.steps_per_sync = max(1, min(int(wanted), 2 * count, 1024))


class Epoch(NamedTuple):
    """What the steps of an epoch read beside the state."""

    sources: Sources
    rows: Rows
    """Of all its steps, along a leading axis."""
    keys: Keys


class Program:
    """Runs the steps of all stages that share a function: compiles once for all arrays of the same kind, checks
    metrics, keeps time.
    """

    def __init__(
        self,
        function: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]],
        spec: Spec,
        views: tuple[tuple[str, View], ...],
        mesh: Mesh | None,
        scan: bool,
    ) -> None:
        self.function, self.spec, self.views = function, spec, dict(views)
        self.mesh, self.scan = mesh, scan
        self.compiled: dict[Hashable, Any] = {}

    def advance(
        self,
        state: PyTree,
        epoch: Epoch,
        start: int,
        limit: int,
        where: str,
        clock: Clock,
    ) -> tuple[PyTree, dict[str, np.ndarray], int]:
        """Some steps from `start`, at most up to `limit`: `(state, metrics, steps)`, a row of metrics a step.

        `state` is consumed. Raises DivergedError, which begins with `where`.
        """
        advance = self._scan if self.scan else self._loop
        state, metrics, count = advance(state, epoch, start, limit, clock)
        if (bad := first_infinite(metrics)) is not None:
            (at,), name, value = bad
            raise DivergedError(f"{where}, step {start + at}: {name} is {value}")
        return state, metrics, count

    def _loop(
        self, state: PyTree, epoch: Epoch, start: int, limit: int, clock: Clock
    ) -> tuple[PyTree, dict[str, np.ndarray], int]:
        count = min(processes.first(lambda: clock.steps_per_sync), limit - start)
        sources, rows, keys = epoch
        step = self._step(state, sources, self._at(rows, start), keys, clock)
        began = time.perf_counter()
        collected = []
        for t in range(start, start + count):
            state, metrics = step(state, sources, self._at(rows, t), keys)
            collected.append(metrics)
        jax.block_until_ready(state)
        host = jax.device_get(collected)
        clock.ran(time.perf_counter() - began, count)
        return state, {name: np.stack([m[name] for m in host]) for name in host[0]}, count

    def _scan(
        self, state: PyTree, epoch: Epoch, start: int, limit: int, clock: Clock
    ) -> tuple[PyTree, dict[str, np.ndarray], int]:
        count = next(steps for steps in SCAN_STEPS if steps <= limit - start)
        sources, rows, keys = epoch
        piece = [tuple(array[start : start + count] for array in row) for row in rows]
        placed = self._place(piece, PartitionSpec(None, "data"))
        step = self._step(state, sources, placed, keys, clock)
        began = time.perf_counter()
        state, metrics = step(state, sources, placed, keys)
        jax.block_until_ready(state)
        host = jax.device_get(metrics)
        clock.ran(time.perf_counter() - began, count)
        return state, host, count

    def _at(self, rows: Rows, t: int) -> Rows:
        row = [tuple(array[t] for array in arrays) for arrays in rows]
        return self._place(row, PartitionSpec("data"))

    def _place(self, rows: Rows, spec: PartitionSpec) -> Rows:
        return rows if self.mesh is None else processes.put(rows, NamedSharding(self.mesh, spec))

    def _step(
        self,
        state: PyTree,
        sources: Sources,
        rows: Rows,
        keys: Keys,
        clock: Clock,
    ) -> Any:
        """The compiled program for arrays of these shapes in these places."""
        leaves, structure = jax.tree.flatten((state, sources, rows, keys))
        kinds = ((jax.typeof(a), getattr(a, "sharding", None)) for a in leaves)
        shape = (structure, matmul_precision(), *kinds)
        if shape in self.compiled:
            return self.compiled[shape]
        began = time.perf_counter()

        def step(state: PyTree, sources: Sources, rows: Rows, keys: Keys) -> tuple[PyTree, Metrics]:
            batch = gather(self.spec, rows, sources, self.views, *keys)
            after, metrics = self.function(state, batch)
            chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
            return after, metrics

        def chunk(
            state: PyTree, sources: Sources, rows: Rows, keys: Keys
        ) -> tuple[PyTree, Metrics]:
            return jax.lax.scan(lambda s, row: step(s, sources, row, keys), state, rows)

        whole, arguments = chunk if self.scan else step, (state, sources, rows, keys)
        if self.mesh is None:
            made_of = (Program, self.function, self.spec, self.views, self.scan)
            self.compiled[shape] = traces.compiled(whole, made_of, arguments)
        else:
            everywhere = NamedSharding(self.mesh, PartitionSpec())
            program = jitted(whole, donate_argnums=0, out_shardings=everywhere)
            self.compiled[shape] = program.lower(*arguments).compile()
        clock.seconds["compile"] += time.perf_counter() - began
        return self.compiled[shape]


program_of = remembered(Program)
"""The program with these arguments, also from an earlier run: what it compiled then serves again."""
