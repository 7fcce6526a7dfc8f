"""Several models in training side by side: each its own data, keys and weights, all of them the same step."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from itertools import islice
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from junlearn.engine import interrupts, processes
from junlearn.engine.abreast import (
    NoRoom,
    One,
    Row,
    advance,
    compile_for,
    function_of,
    spread,
    stack,
    told,
)
from junlearn.engine.batches import Keys, specify
from junlearn.engine.finite import check_networks, first_infinite
from junlearn.engine.memory import largest_chunk, program_bytes, program_flops
from junlearn.engine.seats import Job, Seat, history, line, named, seated, window
from junlearn.errors import DivergedError
from junlearn.types import Key, Method, PyTree, Sources, Split, Variables, View

__all__ = ["ManyTrainer"]

WINDOW = 64
"""Largest number of steps between two looks of the host at the metrics; where steps are scanned, of one scan."""
LOOPS = 2
"""Loops at the same time on a CPU where a step is small: it does not keep two cores busy."""
SMALL = 3e7
"""Operations of such a step. Measured on two cores: two at a time are faster at 2 and 17 million, gain little at 66
million, and are slower at 1,800 million."""


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
        mesh: Mesh | None = None,
    ) -> None:
        """`splits`, `keys`, `seeds` and `steps` (how many each makes) are those of all models, `members` the numbers of
        the group's. With `places` the chunks are given, and every program has so many on a device: it is the same
        whatever other chunks there are. `memory` is what the models may take on a device, in bytes; what is done is
        counted in `seconds`. On a `mesh` the chunks of all its devices are trained at the same time.
        """
        self.method, self.views, self.splits = method, views, splits
        self.keys, self.seeds, self.steps, self.members = keys, seeds, steps, members
        self.places, self.scan, self.memory = places, scan, memory
        self.seconds, self.diverging = seconds, diverging
        self.mesh, self.devices = mesh, 1 if mesh is None else mesh.size
        # The steps of a group are equal: that of its first model is compiled for all.
        stage = method.plan(splits[members[0]])[0]
        self.step = stage.step
        self.spec = specify(stage.feed(np.random.default_rng(0), None))[0]
        self.given = {name: sources[name] for name in self.spec.sources}
        self.sources = processes.everywhere(self.given, mesh)
        self.programs: dict[tuple[str, int], tuple[int, Any]] = {}
        self.counted = 0.0
        """Up to when steps are in `seconds`."""
        self.over = threading.Event()
        """Whether nobody waits for what is in training."""

    @property
    def convolves(self) -> bool:
        """Whether the networks have kernels with two axes of places."""
        state, _ = jax.eval_shape(lambda: self._fresh(self.members[0]))
        return any(leaf.ndim == 4 for leaf in jax.tree.leaves(state.variables.params))

    def size(self, how: str) -> int:
        """How many models are trained at a time."""
        return self.devices * self.loops(how) * self.each(how)

    def train(self, how: str, lists: Sequence[Sequence[int]]) -> Iterator[list[One]]:
        """Models of the group, list after list: what is done, a chunk at a time.

        Lists are as long as a device has places, or are cut; a chunk is a list for each device.
        """
        chunks, loops = self.chunks(how, lists), self.loops(how)
        self.over.clear()
        if loops == 1:
            for chunk in chunks:
                job = self.start(how, chunk)
                self._go(job)
                yield self._end(job)
            return
        with ThreadPoolExecutor(loops) as pool:
            going: deque[tuple[Job, Future[None]]] = deque()
            try:
                while True:
                    for chunk in islice(chunks, loops - len(going)):
                        job = self.start(how, chunk)
                        going.append((job, pool.submit(self._go, job)))
                    if not going:
                        return
                    job, future = going.popleft()
                    with interrupts.held():
                        future.result()
                    yield self._end(job)
            finally:
                self.over.set()

    def chunks(self, how: str, lists: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
        """What is trained at a time: of each chunk the models of every device."""
        each = self.each(how)
        cut = (part[at : at + each] for part in lists for at in range(0, len(part), each))
        return iter(lambda: list(islice(cut, self.devices)), [])

    def start(self, how: str, lists: list[Sequence[int]]) -> Job:
        """A chunk before its first step: a list of models for each device."""
        each, _ = self.program(how, self.width(lists))
        seats = seated(lists, each, self.devices)
        plans = {seat.model: self.method.plan(self.splits[seat.model]) for seat in seats}
        job = Job(seats, plans, how)
        job.state, job.keys = self._begin([seat.model for seat in seats])
        return job

    def _go(self, job: Job) -> None:
        """All steps of a chunk. JAX's settings of a block are those of a thread: here nothing is compiled."""
        width = self.width([list(job.places.values())])
        _, program = self.program(job.how, width)
        lines = self.lines(job)
        steps = max(self.steps[i] for i in job.places.values())
        where = f"the training of {named(job.seats)}"
        for at in range(0, steps, width):
            rows = window(lines, width)
            began = time.perf_counter()
            job.state, metrics = advance(
                *(program, self.scan, job.state, job.keys, self.sources, rows, steps - at, where),
                self.over,
            )
            self._count(job, began)
            rows = jax.tree.map(lambda a: a[: steps - at], rows)  # noqa: B023
            metrics = {name: values[: steps - at] for name, values in metrics.items()}
            self._check(job, rows, metrics)
            if len(job.diverged) == len(job.places):
                break
            job.seen.append((rows._replace(rows=()), metrics))

    def _count(self, job: Job, began: float) -> None:
        """Steps of a chunk have ended that began at a time; of what two do at once, `seconds` counts the time once."""
        now = time.perf_counter()
        job.took += now - began
        self.seconds["run"] += now - max(began, self.counted)
        self.counted = now

    def _end(self, job: Job) -> list[One]:
        """The networks of a chunk after its last step."""
        rows: Any = None
        metrics: dict[str, np.ndarray] = {}
        if job.seen:
            rows, metrics = jax.tree.map(lambda *a: np.concatenate(a), *job.seen)
        variables = jax.device_get(self.method.finish(job.state))
        # Loops at the same time share the machine.
        took = job.took / self.loops(job.how)
        made = sum(self.steps[i] for i in job.places.values())
        ones = []
        for at, i in job.places.items():
            own = jax.tree.map(lambda leaf: leaf[at], variables)  # noqa: B023
            if at not in job.diverged:
                try:
                    check_networks(own, f"model {i}")
                except DivergedError as error:
                    job.diverged[at] = told(str(error), self.diverging)
            share = took * self.steps[i] / made
            if at in job.diverged:
                ones.append(One(i, None, [], share, job.how, job.diverged[at]))
            else:
                past = history(job.plans[i], at, rows, metrics)
                ones.append(One(i, own, past, share, job.how))
        return ones

    def width(self, lists: Iterable[Sequence[int]]) -> int:
        """Steps between two looks of the host."""
        if not self.places:
            most = max(self.steps[i] for i in self.members)
            return -(-most // -(-most // WINDOW))
        most = max(self.steps[i] for part in lists for i in part)
        # Few widths: sets of nearly one size have one program.
        return min(WINDOW, 1 << (most - 1).bit_length())

    def each(self, how: str) -> int:
        """How many models a device has at a time."""
        if self.places:
            return 1 if how == "loop" else self.places
        return self.program(how, self.width(()))[0]

    def loops(self, how: str) -> int:
        """How many chunks are trained at the same time."""
        return self._loops if how == "loop" else 1

    @cached_property
    def _loops(self) -> int:
        cores = os.cpu_count() if jax.default_backend() == "cpu" else None
        if self.scan or self.mesh is not None or (cores or 1) < LOOPS:
            return 1
        _, program = self.program("loop", self.width([self.members]))
        small = program_flops(program) <= SMALL
        return LOOPS if small and LOOPS * program_bytes(program, *self._bytes) <= self.memory else 1

    def program(self, how: str, width: int) -> tuple[int, Any]:
        """How many models a device has, and the compiled step, or scan over the steps of a window."""
        kind = (how, width if self.scan else 0)
        if kind not in self.programs:
            began = time.perf_counter()
            first = self.members[0]
            one = jax.eval_shape(lambda: _with_keys(stack([self._fresh(first)], 1)))
            job = Job([Seat(first, True)], {first: self.method.plan(self.splits[first])}, how)
            rows = window(self.lines(job), width)

            def build(size: int) -> Any:
                whole = size * self.devices
                function = function_of(
                    *(self.step, self.spec, self.spec.shown(self.views), how),
                    *(self._waits(whole, width), self.scan, self.mesh),
                )
                return compile_for(function, one, self.sources, rows, size=whole, scan=self.scan)

            count = self.places or -(-len(self.members) // self.devices)
            count = 1 if how == "loop" else count
            size, program = largest_chunk(build, count, *self._bytes, self.memory)
            if self.places and size < count:
                raise NoRoom(count, size)
            self.programs[kind] = size, program
            self.seconds["compile"] += time.perf_counter() - began
        return self.programs[kind]

    @cached_property
    def _bytes(self) -> tuple[int, int]:
        """Of the state of one model, and of the data."""
        state, _ = jax.eval_shape(lambda: self._fresh(self.members[0]))
        own = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(state))
        return own, sum(a.nbytes for a in jax.tree.leaves(self.given))

    def _waits(self, size: int, width: int) -> bool:
        """Whether a model may have made all its steps before its chunk has; of given chunks always, so that the program
        does not depend on what there is to train.
        """
        if self.places:
            return size > 1 or self.scan
        steps = {self.steps[i] for i in self.members}
        uneven = size > 1 and (len(steps) > 1 or len(self.members) % size > 0)
        return uneven or (self.scan and any(count % width for count in steps))

    def _fresh(self, number: int) -> tuple[PyTree, Key]:
        """State and view key of a model at its first step."""
        # As the driver does: half of the key for the method, the other half for the views.
        mine, views = jax.random.split(self.keys[number])
        nothing = Variables({}, {})
        return self.method.init(mine, nothing, self.given, self.splits[number]), views

    def _begin(self, models: list[int]) -> tuple[PyTree, Keys]:
        """The same of all models of a chunk."""
        return _with_keys(spread([partial(self._fresh, number) for number in models], self.mesh))

    def lines(self, job: Job) -> list[Iterator[Row]]:
        """What every place of a chunk is fed, without end."""
        return [line(job.plans[i], self.seeds[i], real) for i, real in job.seats]

    def _check(self, job: Job, rows: Row, metrics: dict[str, np.ndarray]) -> None:
        """Note the first metric of each place that is not finite; where it ends all, that of the first step."""
        active = np.array(rows.active)
        active[:, list(job.diverged)] = False
        while (bad := first_infinite(metrics, active)) is not None:
            (t, at), name, value = bad
            i, stage = job.places[at], rows.stage[t, at]
            text = (
                f"model {i}, stage {job.plans[i][stage].name!r}, epoch {rows.epoch[t, at]}, "
                f"step {rows.step[t, at]}: {name} is {value}"
            )
            job.diverged[at] = told(text, self.diverging)
            active[:, at] = False


def _with_keys(begun: tuple[PyTree, Key]) -> tuple[PyTree, Keys]:
    """State and keys as a step takes them; no feed of training has slots, so that their key may be any."""
    state, key = begun
    return state, (key, key)
