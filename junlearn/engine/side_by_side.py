"""Several models in training side by side: each its own data, keys and weights, all of them the same step."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine.batches import Spec, gather, specify
from junlearn.engine.finite import check_networks, first_infinite
from junlearn.engine.memory import compiled, largest_chunk
from junlearn.errors import DivergedError
from junlearn.memo import remembered
from junlearn.models.convolution import written_as
from junlearn.types import (
    Array,
    Key,
    Method,
    Metrics,
    PyTree,
    Sources,
    Split,
    Stage,
    Variables,
    View,
)

__all__ = ["ManyTrainer"]

WINDOW = 64
"""Largest number of steps between two looks of the host at the metrics; where steps are scanned, of one scan."""
TIMED_SECONDS = 0.25
"""About how long one timing is, if a step is not longer."""
ROUNDS = 3
"""Timings of each way."""

Trained = tuple[list[int], Variables, list[list[dict[str, Any]]]]
"""Models by number, their variables on the host (axis [C], perhaps longer) and the history of each."""


class Row(NamedTuple):
    """What one model is fed at one step; of a window every field has the leading axes [W,C]."""

    index: Any
    """int32[B] into "train"."""
    mask: Any
    """bool[B]."""
    stage: Any
    epoch: Any
    step: Any
    active: Any
    """bool[]: False once the model has made all its steps."""


class ManyTrainer:
    """Trains the models of a group, those with most steps first, in chunks of one size."""

    def __init__(
        self,
        method: Method,
        sources: Sources,
        *,
        views: Mapping[str, View],
        splits: list[Split],
        keys: list[Key],
        seeds: list[int],
        steps: list[int],
        members: list[int],
        scan: bool,
        memory: int,
        seconds: dict[str, float],
    ) -> None:
        """`splits`, `keys`, `seeds` and `steps` (how many each makes) are those of all models, `members` the numbers of
        the group's. `memory` is what the models of a chunk may take, in bytes; what is done is counted in `seconds`.
        """
        self.method, self.views, self.splits = method, views, splits
        self.keys, self.seeds, self.steps, self.members = keys, seeds, steps, members
        self.scan, self.memory, self.seconds = scan, memory, seconds
        most = steps[members[0]]
        self.window = -(-most // -(-most // WINDOW))
        # The steps of a group are equal: that of its first model is compiled for all.
        self.plans = {i: method.plan(splits[i]) for i in members}
        stage = self.plans[members[0]][0]
        self.step = stage.step
        self.spec = specify(stage.feed(np.random.default_rng(0), None))[0]
        self.sources = {name: sources[name] for name in self.spec.sources}
        self.programs: dict[str, tuple[int, Any]] = {}

    @property
    def convolves(self) -> bool:
        """Whether the networks have kernels with two axes of places."""
        state, _ = jax.eval_shape(lambda: self._begin(self.members[:1], 1))
        return any(leaf.ndim == 5 for leaf in jax.tree.leaves(state.variables.params))

    def train(self, how: str) -> Iterator[Trained]:
        """A chunk after the other: its models, their variables on the host (axis [C]) and their histories."""
        size, program = self.program(how)
        for start in range(0, len(self.members), size):
            part = self.members[start : start + size]
            (state, keys), lines = self._begin(part, size), self._lines(part, size)
            steps, seen = self.steps[part[0]], []
            for at in range(0, steps, self.window):
                rows = _window(lines, self.window)
                began = time.perf_counter()
                state, metrics = self._advance(program, state, keys, rows, steps - at)
                metrics = jax.device_get(metrics)
                self.seconds["run"] += time.perf_counter() - began
                rows = jax.tree.map(lambda a: a[: steps - at], rows)  # noqa: B023
                metrics = {name: values[: steps - at] for name, values in metrics.items()}
                self._check(part, rows, metrics)
                seen.append((rows._replace(index=(), mask=()), metrics))
            rows, metrics = jax.tree.map(lambda *a: np.concatenate(a), *seen)
            variables = jax.device_get(self.method.finish(state))
            for place, i in enumerate(part):
                check_networks(jax.tree.map(lambda leaf: leaf[place], variables), f"model {i}")  # noqa: B023
            yield (
                part,
                variables,
                [self._history(i, place, rows, metrics) for place, i in enumerate(part)],
            )

    def times(self, names: Sequence[str]) -> dict[str, float]:
        """Seconds that a step of one model takes in each way of stepping; in alternating rounds, the fastest counts."""
        programs = {how: self.program(how) for how in names}
        began = time.perf_counter()
        best: dict[str, float] = {}
        calls = {}
        for how, (size, program) in programs.items():
            part = self.members[:size]
            state, keys = self._begin(part, size)
            rows = _window(self._lines(part, size), self.window)
            start = time.perf_counter()
            state, _ = jax.block_until_ready(self._advance(program, state, keys, rows, 1))
            took = time.perf_counter() - start
            count = max(1, min(int(TIMED_SECONDS / took), self.window))
            calls[how] = (program, state, keys, rows, count)
        for _ in range(ROUNDS):
            for how, (program, state, keys, rows, count) in calls.items():
                start = time.perf_counter()
                state, _ = jax.block_until_ready(self._advance(program, state, keys, rows, count))
                each = (time.perf_counter() - start) / (
                    programs[how][0] * (self.window if self.scan else count)
                )
                best[how] = min(best.get(how, each), each)
                calls[how] = (program, state, keys, rows, count)
        self.seconds["measure"] += time.perf_counter() - began
        return best

    def program(self, how: str) -> tuple[int, Any]:
        """The size of a chunk and its compiled step, or scan over the steps of a window."""
        if how not in self.programs:
            began = time.perf_counter()
            one = jax.eval_shape(lambda: self._begin(self.members[:1], 1))
            rows = _window(self._lines(self.members[:1], 1), self.window)

            def build(size: int) -> Any:
                def shape(leaf: Any, axis: int) -> jax.ShapeDtypeStruct:
                    wide = (*leaf.shape[:axis], size, *leaf.shape[axis + 1 :])
                    return jax.ShapeDtypeStruct(wide, leaf.dtype)

                state, keys = jax.tree.map(lambda leaf: shape(leaf, 0), one)
                fed = jax.tree.map(lambda leaf: shape(leaf, 1), rows)
                if not self.scan:
                    fed = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), fed)
                steps = {self.steps[i] for i in self.members}
                uneven = size > 1 and (len(steps) > 1 or len(self.members) % size > 0)
                waits = uneven or (self.scan and any(count % self.window for count in steps))
                views = self.spec.shown(self.views)
                function = _function(self.step, self.spec, views, how, waits, self.scan)
                return compiled(function, state, keys, self.sources, fed)

            state_bytes = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(one[0]))
            data_bytes = sum(a.nbytes for a in jax.tree.leaves(self.sources))
            count = 1 if how == "loop" else len(self.members)
            self.programs[how] = largest_chunk(build, count, state_bytes, data_bytes, self.memory)
            self.seconds["compile"] += time.perf_counter() - began
        return self.programs[how]

    def _advance(
        self, program: Any, state: PyTree, keys: Array, rows: Row, steps: int
    ) -> tuple[PyTree, dict[str, Any]]:
        """The steps of a window, in a Python loop at most `steps` of them; metrics [W,C]."""
        if self.scan:
            return program(state, keys, self.sources, rows)
        collected = []
        for t in range(min(steps, self.window)):
            state, metrics = program(state, keys, self.sources, jax.tree.map(lambda a: a[t], rows))  # noqa: B023
            collected.append(metrics)
        host = jax.device_get(collected)
        return state, {name: np.stack([m[name] for m in host]) for name in host[0]}

    def _begin(self, part: list[int], size: int) -> tuple[PyTree, Array]:
        """State and view keys of the models at their first step; the last one is repeated until there are `size`."""

        def stack(*leaves: Array) -> Array:
            return jnp.stack([*leaves, *leaves[-1:] * (size - len(part))])

        # As the driver does: half of the key for the method, the other half for the views.
        halves = [jax.random.split(self.keys[i]) for i in part]
        fresh = [
            self.method.init(half[0], Variables({}, {}), self.sources, self.splits[i])
            for i, half in zip(part, halves, strict=True)
        ]
        return jax.tree.map(stack, *fresh), stack(*(half[1] for half in halves))

    def _lines(self, part: list[int], size: int) -> list[Iterator[Row]]:
        """What every place of a chunk is fed, without end."""
        lines = [_line(self.plans[i], self.seeds[i]) for i in part]
        last = part[-1]
        for _ in range(size - len(part)):
            again = _line(self.plans[last], self.seeds[last])
            lines.append(row._replace(active=False) for row in again)
        return lines

    def _check(self, part: list[int], rows: Row, metrics: dict[str, np.ndarray]) -> None:
        """Raise DivergedError at the first metric that is not finite."""
        if (bad := first_infinite(metrics, rows.active)) is not None:
            (t, place), name, value = bad
            i, stage = part[place], rows.stage[t, place]
            raise DivergedError(
                f"model {i}, stage {self.plans[i][stage].name!r}, epoch {rows.epoch[t, place]}, "
                f"step {rows.step[t, place]}: {name} is {value}"
            )

    def _history(
        self, number: int, place: int, rows: Row, metrics: dict[str, np.ndarray]
    ) -> list[dict[str, Any]]:
        """One entry an epoch, as the driver makes it."""
        entries = []
        for s, stage in enumerate(self.plans[number]):
            for epoch in range(stage.epochs):
                here = (rows.stage[:, place] == s) & (rows.epoch[:, place] == epoch)
                here &= rows.active[:, place]
                means = {
                    name: float(values[here, place].sum(dtype=np.float64) / here.sum())
                    for name, values in metrics.items()
                }
                steps = int(here.sum())
                entries.append({"stage": stage.name, "epoch": epoch, "steps": steps, **means})
        return entries


@remembered
def _function(
    step: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]],
    spec: Spec,
    views: tuple[tuple[str, View], ...],
    how: str,
    waits: bool,
    scan: bool,
) -> Callable[..., tuple[PyTree, Metrics]]:
    """`(state, keys, sources, rows) -> (state, metrics)`, jitted; all but the sources have an axis of models.

    With `waits` a model whose row is not active does not change.
    """

    def one(sources: Sources, state: PyTree, key: Key, row: Row) -> tuple[PyTree, Metrics]:
        key = jax.random.fold_in(jax.random.fold_in(key, row.stage), row.epoch)
        batch = gather(spec, [(row.index, row.mask)], sources, dict(views), key)
        after, metrics = step(state, batch)
        if waits:
            after = jax.tree.map(lambda new, old: jnp.where(row.active, new, old), after, state)
        return after, metrics

    def each(state: PyTree, keys: Array, sources: Sources, rows: Row) -> tuple[PyTree, Metrics]:
        if how in ("vmap", "patches"):
            with written_as("patches" if how == "patches" else "fast"):
                return jax.vmap(one, in_axes=(None, 0, 0, 0))(sources, state, keys, rows)
        if how == "map":
            return jax.lax.map(lambda own: one(sources, *own), (state, keys, rows))
        own = jax.tree.map(lambda leaf: jnp.squeeze(leaf, 0), (state, keys, rows))
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), one(sources, *own))

    def scanned(state: PyTree, keys: Array, sources: Sources, rows: Row) -> tuple[PyTree, Metrics]:
        return jax.lax.scan(lambda s, row: each(s, keys, sources, row), state, rows)

    return jax.jit(scanned if scan else each, donate_argnums=0, keep_unused=True)


def _line(stages: list[Stage], seed: int) -> Iterator[Row]:
    """The steps of a model in the driver's order of the data, then its last row for ever, inactive."""
    for number, stage in enumerate(stages):
        for epoch in range(stage.epochs):
            # The feed of supervised training does not look at the state.
            feed = stage.feed(np.random.default_rng((seed, number, epoch)), None)
            for step, (index, mask) in enumerate(zip(feed.index, feed.mask, strict=True)):
                row = Row(index, mask, np.int32(number), np.int32(epoch), np.int32(step), True)
                yield row
    while True:
        yield row._replace(active=False)


def _window(lines: list[Iterator[Row]], steps: int) -> Row:
    """The next `steps` rows of every line, [W,C]."""
    columns = [Row(*map(np.stack, zip(*islice(line, steps), strict=True))) for line in lines]
    return Row(*(np.stack(fields, axis=1) for fields in zip(*columns, strict=True)))
