"""The compiled step of stages, and how many steps are run before the host looks again."""

import time
from collections.abc import Mapping
from typing import Any

import chex
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from junlearn.batches import Keys, Rows, Spec, gather
from junlearn.errors import DivergedError
from junlearn.types import Metrics, PyTree, Sources, Stage, View

__all__ = ["Program"]

SYNC_SECONDS = 0.5
"""Wall time between two looks of the host at the metrics in the Python loop."""
SCAN_STEPS = 64
"""Largest number of steps in one compiled scan."""


class Program:
    """Runs the steps of all stages that share a function: compiles once a batch shape, checks losses, keeps time."""

    def __init__(
        self,
        stage: Stage,
        spec: Spec,
        views: Mapping[str, View],
        mesh: Mesh | None,
        scan: bool,
        seconds: dict[str, float],
    ) -> None:
        self.function, self.spec, self.views = stage.step, spec, views
        self.mesh, self.scan = mesh, scan
        self.seconds = seconds
        self.compiled: dict[Any, Any] = {}
        self.steps_per_sync = 1

    def serves(self, stage: Stage, spec: Spec) -> bool:
        """Whether what is compiled here is the step of `stage` on feeds of this kind."""
        return self.function is stage.step and self.spec == spec

    def advance(
        self,
        state: PyTree,
        sources: Sources,
        rows: Rows,
        keys: Keys,
        start: int,
        limit: int,
        where: str,
    ) -> tuple[PyTree, dict[str, np.ndarray], int]:
        """Some steps from `start`, at most up to `limit`: `(state, metrics, steps)`, a row of metrics a step.

        `rows` and `keys` are those of the whole epoch. `state` is consumed. Raises DivergedError, which begins with
        `where`.
        """
        if self.scan:
            state, metrics, count = self._scan(state, sources, rows, keys, start, limit)
        else:
            state, metrics, count = self._loop(state, sources, rows, keys, start, limit)
        for name, values in metrics.items():
            if "loss" in name and not np.isfinite(values).all():
                at = int(np.flatnonzero(~np.isfinite(values))[0])
                raise DivergedError(f"{where}, step {start + at}: {name} is {values[at]}")
        return state, metrics, count

    def _loop(
        self, state: PyTree, sources: Sources, rows: Rows, keys: Keys, start: int, limit: int
    ) -> tuple[PyTree, dict[str, np.ndarray], int]:
        count = min(self.steps_per_sync, limit - start)
        step = self._step(state, sources, self._at(rows, start), keys)
        began = time.perf_counter()
        collected = []
        for t in range(start, start + count):
            state, metrics = step(state, sources, self._at(rows, t), keys)
            collected.append(metrics)
        jax.block_until_ready(state)
        host = jax.device_get(collected)
        took = time.perf_counter() - began
        self.seconds["run"] += took
        wanted = SYNC_SECONDS / max(took / count, 1e-6)
        # Doubling at most: the first step of a program can be slower or faster than the rest.
        self.steps_per_sync = max(1, min(int(wanted), 2 * count, 1024))
        return state, {name: np.stack([m[name] for m in host]) for name in host[0]}, count

    def _scan(
        self, state: PyTree, sources: Sources, rows: Rows, keys: Keys, start: int, limit: int
    ) -> tuple[PyTree, dict[str, np.ndarray], int]:
        # Two compiled lengths at most: chunks of equal size, and single steps for the few that remain.
        total = rows[0][0].shape[0]
        chunk = total // -(-total // SCAN_STEPS)
        count = chunk if limit - start >= chunk else 1
        piece = [tuple(array[start : start + count] for array in row) for row in rows]
        placed = self._place(piece, PartitionSpec(None, "data"))
        step = self._step(state, sources, placed, keys)
        began = time.perf_counter()
        state, metrics = step(state, sources, placed, keys)
        jax.block_until_ready(state)
        host = jax.device_get(metrics)
        self.seconds["run"] += time.perf_counter() - began
        return state, host, count

    def _at(self, rows: Rows, t: int) -> Rows:
        row = [tuple(array[t] for array in arrays) for arrays in rows]
        return self._place(row, PartitionSpec("data"))

    def _place(self, rows: Rows, spec: PartitionSpec) -> Rows:
        return rows if self.mesh is None else jax.device_put(rows, NamedSharding(self.mesh, spec))

    def _step(self, state: PyTree, sources: Sources, rows: Rows, keys: Keys) -> Any:
        """The compiled program for rows of this shape."""
        shape = tuple(tuple(array.shape for array in row) for row in rows)
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

        placement: dict[str, Any] = {}
        if self.mesh is not None:
            placement["out_shardings"] = NamedSharding(self.mesh, PartitionSpec())
        program = jax.jit(chunk if self.scan else step, donate_argnums=0, **placement)
        self.compiled[shape] = program.lower(state, sources, rows, keys).compile()
        self.seconds["compile"] += time.perf_counter() - began
        return self.compiled[shape]
