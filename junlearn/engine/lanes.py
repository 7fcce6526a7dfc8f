"""Several networks side by side through all stages of a method: the same stage, epoch and step at the same time."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from junlearn.engine import compiling, processes
from junlearn.engine.abreast import (
    NoRoom,
    One,
    Row,
    advance,
    at_place,
    compile_for,
    function_of,
    spread,
    told,
)
from junlearn.engine.batches import Keys, Spec, specify
from junlearn.engine.finite import check_networks, first_infinite
from junlearn.engine.memory import largest_chunk
from junlearn.engine.program import SCAN_STEPS
from junlearn.engine.run import begin
from junlearn.engine.settings import Placement
from junlearn.errors import DivergedError
from junlearn.types import Key, Method, Model, PyTree, Sources, Split, Stage, Variables, View

__all__ = ["Apart", "Lanes", "Slow", "Task"]

WINDOW = 64
"""Largest number of steps between two looks of the host at the metrics in the Python loop."""


class Apart(Exception):
    """Networks of a chunk have states or feeds of different shapes, so that no program fits them all."""


class Slow(Exception):
    """A chunk takes longer than it may."""


class Task(NamedTuple):
    """What is done, and for each network by its number: what with."""

    method: Method
    model: Model
    sources: Sources
    views: Mapping[str, View]
    splits: Sequence[Split]
    starts: Callable[[int], Variables]
    initial: Callable[[int], Variables] | None
    keys: Sequence[Key]
    seeds: Sequence[int]
    placement: Placement
    mixed: bool = False
    """Whether networks of other splits may go together, where their stages are the same."""

    def start(self, number: int) -> Variables:
        """The network that unlearns."""
        return Variables.from_linen(self.starts(number))

    def begun(self, number: int) -> Variables | None:
        """The weights that its training began from, where they are known."""
        return None if self.initial is None else Variables.from_linen(self.initial(number))

    def apart(self, numbers: Sequence[int]) -> str:
        """Why these networks cannot be side by side; empty where nothing is known against it."""
        if not numbers:
            return ""
        splits = {id(self.splits[i]): self.splits[i] for i in numbers}
        first, *others = splits.values()
        stages = self.method.plan(first)
        for split in others:
            alike = self.mixed and _in_step(stages, self.method.plan(split))
            if not alike and not _equal(first, split):
                return "the networks forget different examples"
        if not stages:
            return "the method has no stage"
        for stage in stages:
            if stage.until is not None:
                return f"stage {stage.name!r} ends when a network is done"
            if stage.begin is not None:
                return f"stage {stage.name!r} begins with work for one network"
        return ""


class Lanes:
    """Takes chunks of networks through the method, all by the same programs."""

    def __init__(self, task: Task, how: str, memory: int, diverging: str) -> None:
        self.task, self.how, self.memory, self.diverging = task, how, memory, diverging
        self.scan, self.mesh = task.placement.scans, task.placement.mesh
        self.devices = 1 if self.mesh is None else self.mesh.size
        self.sources = processes.everywhere(task.sources, self.mesh)
        self.programs: dict[Any, Any] = {}

    def run(self, part: list[int], size: int, budget: float) -> list[One]:
        """The networks `part` in a program of `size` places on each device.

        Raises NoRoom where memory is not enough, Apart where the networks are unlike, Slow once more than `budget`
        seconds are gone, compilation not counted.
        """
        task, chunk = self.task, _Chunk(part)
        plans = {id(task.splits[i]): task.method.plan(task.splits[i]) for i in part}
        own = [plans[id(task.splits[i])] for i in part]
        stages = own[0]
        size *= self.devices
        began = time.perf_counter()
        with compiling.measured() as compilation:
            state, keys = self._begin(part, size, len(stages))
            for number, stage in enumerate(stages):
                for epoch in range(stage.epochs):
                    fed = [plan[number] for plan in own]
                    spec, rows = self._draw(fed, (number, epoch), part, size, state)
                    sums: dict[str, np.ndarray] = {}
                    steps, at = len(rows.stage), 0
                    while at < steps:
                        width = self._width(steps - at)
                        window = jax.tree.map(lambda a: a[at : at + width], rows)  # noqa: B023
                        program = self._program(stage, spec, state, keys, window, size)
                        start = time.perf_counter()
                        state, metrics = advance(
                            *(program, self.scan, state, keys, self._fed(spec), window, width),
                            f"stage {stage.name!r}, epoch {epoch}",
                        )
                        chunk.took += time.perf_counter() - start
                        where = f"stage {stage.name!r}, epoch {epoch}, step"
                        chunk.check(metrics, at, where, self.diverging)
                        for name, values in metrics.items():
                            total = values.sum(0, dtype=np.float64)
                            sums[name] = sums.get(name, 0.0) + total
                        at += width
                        if len(chunk.diverged) == len(part):
                            return chunk.ones(self.how)
                        if time.perf_counter() - began - compilation.seconds > budget:
                            raise Slow
                    chunk.close_epoch(stage.name, epoch, steps, sums)
                chunk.check_state(state, f"end of stage {stage.name!r}", self.diverging)
            chunk.finish(task, state, self.diverging)
        return chunk.ones(self.how)

    def _begin(self, part: list[int], size: int, stages: int) -> tuple[PyTree, Keys]:
        """States before the first stage, and the keys of the views: of epochs, and of slots."""
        task = self.task
        halves = [jax.random.split(task.keys[i]) for i in part]
        states = [
            begin(
                *(task.method, half[0], task.start(i), task.sources, task.splits[i]),
                initial=task.begun(i),
                views=task.views,
            )
            for i, half in zip(part, halves, strict=True)
        ]
        _alike([jax.tree.map(_kind, state) for state in states])
        frozen = [jax.random.fold_in(half[1], stages) for half in halves]
        keys = [(half[1], own) for half, own in zip(halves, frozen, strict=True)]
        lanes = [partial(tuple, network) for network in zip(states, keys, strict=True)]
        return spread(lanes + lanes[-1:] * (size - len(part)), self.mesh)

    def _draw(
        self,
        stages: list[Stage],
        place: tuple[int, int],
        part: list[int],
        size: int,
        state: PyTree,
    ) -> tuple[Spec, Row]:
        """The feeds of an epoch, [T,C], of each network's stage; `place` is the number of stage and epoch."""
        drawn = []
        for lane, (i, stage) in enumerate(zip(part, stages, strict=True)):
            seed = (self.task.seeds[i], *place)
            try:
                # Few feeds look at the state, and each network's own is a copy.
                feed = stage.feed(np.random.default_rng(seed), None)
            except Exception:
                feed = stage.feed(np.random.default_rng(seed), at_place(state, lane))
            drawn.append(specify(feed))
        _alike([(spec, jax.tree.map(_kind, rows)) for spec, rows in drawn])
        fed = [rows for _, rows in drawn]
        fed += fed[-1:] * (size - len(part))
        together = jax.tree.map(lambda *a: np.stack(a, axis=1), *fed)
        steps = len(together[0][0])
        number, epoch = (np.full((steps, size), value, np.int32) for value in place)
        step = np.repeat(np.arange(steps, dtype=np.int32)[:, None], size, axis=1)
        return drawn[0][0], Row(together, number, epoch, step, np.ones((steps, size), bool))

    def _width(self, left: int) -> int:
        """How many steps to make before the host looks again."""
        if self.scan:
            return next(steps for steps in SCAN_STEPS if steps <= left)
        return min(WINDOW, left)

    def _fed(self, spec: Spec) -> Sources:
        return {name: self.sources[name] for name in spec.sources}

    def _program(
        self, stage: Stage, spec: Spec, state: PyTree, keys: Keys, window: Row, size: int
    ) -> Any:
        """The compiled step of the stage, or scan over a window of its steps."""
        shapes = tuple(leaf.shape[0 if self.scan else 1 :] for leaf in jax.tree.leaves(window))
        kind = (stage.step, spec, size, shapes)
        if kind not in self.programs:
            views = spec.shown(self.task.views)
            function = function_of(stage.step, spec, views, self.how, False, self.scan, self.mesh)
            one = jax.tree.map(_kind, (state, keys))

            def build(places: int) -> Any:
                whole = places * self.devices
                return compile_for(
                    *(function, one, self._fed(spec), window), size=whole, scan=self.scan
                )

            each = size // self.devices
            state_bytes = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(state)) // size
            data_bytes = sum(a.nbytes for a in jax.tree.leaves(self._fed(spec)))
            fits, program = largest_chunk(build, each, state_bytes, data_bytes, self.memory)
            if fits < each:
                raise NoRoom(each, fits)
            self.programs[kind] = program
        return self.programs[kind]


class _Chunk:
    """What is known of the networks of a chunk."""

    def __init__(self, part: list[int]) -> None:
        self.part = part
        self.took = 0.0
        self.history: list[list[dict[str, Any]]] = [[] for _ in part]
        self.diverged: dict[int, str] = {}
        """By place: the line of the first number that is not finite."""
        self.finished: dict[int, tuple[Variables, Model | None]] = {}

    def check(self, metrics: dict[str, np.ndarray], at: int, where: str, diverging: str) -> None:
        """Look at the metrics [W,C] of steps from `at` on."""
        if not metrics:
            return
        active = np.zeros(next(iter(metrics.values())).shape, bool)
        active[:, [p for p in range(len(self.part)) if p not in self.diverged]] = True
        while (bad := first_infinite(metrics, active)) is not None:
            (t, place), name, value = bad
            line = f"model {self.part[place]}, {where} {at + t}: {name} is {value}"
            self.diverged[place] = told(line, diverging)
            active[:, place] = False

    def check_state(self, state: PyTree, where: str, diverging: str) -> None:
        """Look at the networks in a state."""
        try:
            check_networks(state, where)
        except DivergedError:
            for place in range(len(self.part)):
                self._look(place, at_place(state, place), where, diverging)

    def _look(self, place: int, networks: PyTree, where: str, diverging: str) -> None:
        if place not in self.diverged:
            try:
                check_networks(networks, f"model {self.part[place]}, {where}")
            except DivergedError as error:
                self.diverged[place] = told(str(error), diverging, error)

    def close_epoch(self, stage: str, epoch: int, steps: int, sums: dict[str, np.ndarray]) -> None:
        """An entry of every network's history."""
        for place, entries in enumerate(self.history):
            means = {name: float(total[place]) / steps for name, total in sums.items()}
            entries.append({"stage": stage, "epoch": epoch, "steps": steps, **means})

    def finish(self, task: Task, state: PyTree, diverging: str) -> None:
        """`method.finish` of each."""
        for place in range(len(self.part)):
            if place in self.diverged:
                continue
            finished, own = task.method.finish(at_place(state, place)), None
            if not isinstance(finished, Variables):
                own, finished = finished
            self._look(place, finished, "the finished network", diverging)
            self.finished[place] = (jax.device_get(finished), own)

    def ones(self, how: str) -> list[One]:
        """What is handed out."""
        share = self.took / len(self.part)
        ones = []
        for place, number in enumerate(self.part):
            if place in self.diverged:
                ones.append(One(number, None, [], share, how, self.diverged[place]))
            else:
                variables, own = self.finished[place]
                ones.append(One(number, variables, self.history[place], share, how, None, own))
        return ones


def _kind(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype)


def _alike(trees: Sequence[Any]) -> None:
    if any(tree != trees[0] for tree in trees[1:]):
        raise Apart


def _in_step(one: Sequence[Stage], other: Sequence[Stage]) -> bool:
    """Whether two plans make the same steps, as often, so that nothing but their data tells them apart."""
    kinds = [[(stage.name, stage.step, stage.epochs) for stage in plan] for plan in (one, other)]
    return kinds[0] == kinds[1]


def _equal(one: Split, other: Split) -> bool:
    return all(
        np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(one, other, strict=True)
    )
