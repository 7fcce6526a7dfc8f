"""Several models in training side by side: each its own data, keys and weights, all of them the same step."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import jax
import numpy as np

from junlearn.engine.abreast import NoRoom, One, Row, advance, compile_for, function_of, stack, told
from junlearn.engine.batches import Keys, specify
from junlearn.engine.finite import check_networks, first_infinite
from junlearn.engine.memory import largest_chunk
from junlearn.errors import DivergedError
from junlearn.types import Key, Method, PyTree, Sources, Split, Stage, Variables, View

__all__ = ["ManyTrainer"]

WINDOW = 64
"""Largest number of steps between two looks of the host at the metrics; where steps are scanned, of one scan."""
TIMED_SECONDS = 0.25
"""About how long one timing is, if a step is not longer."""
ROUNDS = 3
"""Timings of each way."""


class ManyTrainer:
    """Trains the models of a group, those with most steps first, in chunks of one size, or in chunks that are given."""

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
        places: int | None,
        scan: bool,
        memory: int,
        seconds: dict[str, float],
        diverging: str,
    ) -> None:
        """`splits`, `keys`, `seeds` and `steps` (how many each makes) are those of all models, `members` the numbers of
        the group's. With `places` the chunks are given, and every program has so many: it is the same whatever other
        chunks there are. `memory` is what the models of a chunk may take, in bytes; what is done is counted in
        `seconds`.
        """
        self.method, self.views, self.splits = method, views, splits
        self.keys, self.seeds, self.steps, self.members = keys, seeds, steps, members
        self.places, self.scan, self.memory = places, scan, memory
        self.seconds, self.diverging = seconds, diverging
        # The steps of a group are equal: that of its first model is compiled for all.
        stage = method.plan(splits[members[0]])[0]
        self.step = stage.step
        self.spec = specify(stage.feed(np.random.default_rng(0), None))[0]
        self.sources = {name: sources[name] for name in self.spec.sources}
        self.programs: dict[tuple[str, int], tuple[int, Any]] = {}

    @property
    def convolves(self) -> bool:
        """Whether the networks have kernels with two axes of places."""
        state, _ = jax.eval_shape(lambda: self._begin(self.members[:1], 1))
        return any(leaf.ndim == 5 for leaf in jax.tree.leaves(state.variables.params))

    def size(self, how: str) -> int:
        """How many models are trained at a time."""
        if self.places:
            return 1 if how == "loop" else self.places
        return self._program(how, self._window(self.members))[0]

    def train(self, how: str, part: list[int]) -> Iterator[list[One]]:
        """The models `part` of the group, as many at a time as there is room for: what is done, a chunk a time."""
        size = self.size(how)
        for start in range(0, len(part), size):
            yield self._train(how, part[start : start + size])

    def _train(self, how: str, part: list[int]) -> list[One]:
        """One chunk."""
        width = self._window(part if self.places else self.members)
        size, program = self._program(how, width)
        plans = [self.method.plan(self.splits[i]) for i in part]
        (state, keys), lines = self._begin(part, size), self._lines(part, plans, size)
        steps, seen = max(self.steps[i] for i in part), []
        diverged: dict[int, str] = {}
        took = 0.0
        for at in range(0, steps, width):
            rows = _window(lines, width)
            began = time.perf_counter()
            state, metrics = advance(
                *(program, self.scan, state, keys, self.sources, rows, steps - at),
                f"the training of {_named(part)}",
            )
            took += time.perf_counter() - began
            rows = jax.tree.map(lambda a: a[: steps - at], rows)  # noqa: B023
            metrics = {name: values[: steps - at] for name, values in metrics.items()}
            self._check(part, plans, rows, metrics, diverged)
            if len(diverged) == len(part):
                break
            seen.append((rows._replace(rows=()), metrics))
        self.seconds["run"] += took
        rows, metrics = jax.tree.map(lambda *a: np.concatenate(a), *seen) if seen else ((), {})
        variables = jax.device_get(self.method.finish(state))
        made = sum(self.steps[i] for i in part)
        ones = []
        for place, (i, plan) in enumerate(zip(part, plans, strict=True)):
            own = jax.tree.map(lambda leaf: leaf[place], variables)  # noqa: B023
            if place not in diverged:
                try:
                    check_networks(own, f"model {i}")
                except DivergedError as error:
                    diverged[place] = told(str(error), self.diverging)
            share = took * self.steps[i] / made
            if place in diverged:
                ones.append(One(i, None, [], share, how, diverged[place]))
            else:
                ones.append(One(i, own, _history(plan, place, rows, metrics), share, how))
        return ones

    def times(self, names: Sequence[str]) -> dict[str, float]:
        """Seconds that a step of one model takes in each way of stepping; in alternating rounds, the fastest counts.

        A way that has no room for a chunk that is given is left out.
        """
        width = self._window(self.members)
        programs = {}
        for how in names:
            with suppress(NoRoom):
                programs[how] = self._program(how, width)
        began = time.perf_counter()
        best: dict[str, float] = {}
        calls = {}

        def step(program: Any, state: PyTree, keys: Keys, rows: Row, count: int) -> PyTree:
            fixed = (program, self.scan, state, keys, self.sources, rows, count)
            return jax.block_until_ready(advance(*fixed, "timing")[0])

        for how, (size, program) in programs.items():
            part = self.members[:size]
            state, keys = self._begin(part, size)
            plans = [self.method.plan(self.splits[i]) for i in part]
            rows = _window(self._lines(part, plans, size), width)
            start = time.perf_counter()
            state = step(program, state, keys, rows, 1)
            took = time.perf_counter() - start
            count = max(1, min(int(TIMED_SECONDS / took), width))
            calls[how] = (program, state, keys, rows, count)
        for _ in range(ROUNDS):
            for how, (program, state, keys, rows, count) in calls.items():
                start = time.perf_counter()
                state = step(program, state, keys, rows, count)
                each = (time.perf_counter() - start) / (
                    programs[how][0] * (width if self.scan else count)
                )
                best[how] = min(best.get(how, each), each)
                calls[how] = (program, state, keys, rows, count)
        self.seconds["measure"] += time.perf_counter() - began
        return best

    def _window(self, part: Sequence[int]) -> int:
        """Steps between two looks of the host."""
        most = max(self.steps[i] for i in part)
        if self.places:
            # Few widths: sets of nearly one size have one program.
            return min(WINDOW, 1 << (most - 1).bit_length())
        return -(-most // -(-most // WINDOW))

    def _program(self, how: str, width: int) -> tuple[int, Any]:
        """The size of a chunk and its compiled step, or scan over the steps of a window."""
        kind = (how, width if self.scan else 0)
        if kind not in self.programs:
            began = time.perf_counter()
            first = self.members[:1]
            one = jax.eval_shape(lambda: self._begin(first, 1))
            plans = [self.method.plan(self.splits[first[0]])]
            rows = _window(self._lines(first, plans, 1), width)

            def build(size: int) -> Any:
                function = function_of(
                    self.step,
                    self.spec,
                    self.spec.shown(self.views),
                    how,
                    self._waits(size, width),
                    self.scan,
                )
                return compile_for(function, one, self.sources, rows, size=size, scan=self.scan)

            state_bytes = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(one[0]))
            data_bytes = sum(a.nbytes for a in jax.tree.leaves(self.sources))
            count = 1 if how == "loop" else self.places or len(self.members)
            size, program = largest_chunk(build, count, state_bytes, data_bytes, self.memory)
            if self.places and size < count:
                raise NoRoom(count, size)
            self.programs[kind] = size, program
            self.seconds["compile"] += time.perf_counter() - began
        return self.programs[kind]

    def _waits(self, size: int, width: int) -> bool:
        """Whether a model may have made all its steps before its chunk has; of given chunks always, so that the program
        does not depend on what there is to train.
        """
        if self.places:
            return size > 1 or self.scan
        steps = {self.steps[i] for i in self.members}
        uneven = size > 1 and (len(steps) > 1 or len(self.members) % size > 0)
        return uneven or (self.scan and any(count % width for count in steps))

    def _begin(self, part: list[int], size: int) -> tuple[PyTree, Keys]:
        """State and view keys of the models at their first step; the last one is repeated until there are `size`."""
        # As the driver does: half of the key for the method, the other half for the views.
        halves = [jax.random.split(self.keys[i]) for i in part]
        fresh = [
            self.method.init(half[0], Variables({}, {}), self.sources, self.splits[i])
            for i, half in zip(part, halves, strict=True)
        ]
        keys = stack([half[1] for half in halves], size)
        return stack(fresh, size), (keys, keys)

    def _lines(self, part: list[int], plans: list[list[Stage]], size: int) -> list[Iterator[Row]]:
        """What every place of a chunk is fed, without end."""
        lines = [_line(plan, self.seeds[i]) for i, plan in zip(part, plans, strict=True)]
        for _ in range(size - len(part)):
            again = _line(plans[-1], self.seeds[part[-1]])
            lines.append(row._replace(active=False) for row in again)
        return lines

    def _check(
        self,
        part: list[int],
        plans: list[list[Stage]],
        rows: Row,
        metrics: dict[str, np.ndarray],
        diverged: dict[int, str],
    ) -> None:
        """Note the first metric of each place that is not finite; where it ends all, that of the first step."""
        active = np.array(rows.active)
        active[:, list(diverged)] = False
        while (bad := first_infinite(metrics, active)) is not None:
            (t, place), name, value = bad
            i, stage = part[place], rows.stage[t, place]
            line = (
                f"model {i}, stage {plans[place][stage].name!r}, epoch {rows.epoch[t, place]}, "
                f"step {rows.step[t, place]}: {name} is {value}"
            )
            diverged[place] = told(line, self.diverging)
            active[:, place] = False


def _named(part: list[int]) -> str:
    """The models of a chunk in words."""
    return f"model {part[0]}" if len(part) == 1 else f"models {part[0]} to {part[-1]}"


def _history(
    plan: list[Stage], place: int, rows: Row, metrics: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """One entry an epoch, as the driver makes it."""
    entries = []
    for s, stage in enumerate(plan):
        for epoch in range(stage.epochs):
            here = (rows.stage[:, place] == s) & (rows.epoch[:, place] == epoch)
            here &= rows.active[:, place]
            means = {
                name: float(values[here, place].sum(dtype=np.float64) / here.sum())
                for name, values in metrics.items()
            }
            entries.append({"stage": stage.name, "epoch": epoch, "steps": int(here.sum()), **means})
    return entries


def _line(stages: list[Stage], seed: int) -> Iterator[Row]:
    """The steps of a model in the driver's order of the data, then its last row for ever, inactive."""
    for number, stage in enumerate(stages):
        for epoch in range(stage.epochs):
            # The feed of supervised training does not look at the state.
            rows = specify(stage.feed(np.random.default_rng((seed, number, epoch)), None))[1]
            for step in range(len(rows[0][0])):
                fed = [tuple(array[step] for array in feed) for feed in rows]
                row = Row(fed, np.int32(number), np.int32(epoch), np.int32(step), True)
                yield row
    while True:
        yield row._replace(active=False)


def _window(lines: list[Iterator[Row]], steps: int) -> Row:
    """The next `steps` rows of every line, [W,C]."""
    columns = [jax.tree.map(lambda *a: np.stack(a), *islice(line, steps)) for line in lines]
    return jax.tree.map(lambda *a: np.stack(a, axis=1), *columns)
