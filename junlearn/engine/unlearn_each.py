"""Many unlearnings by one method, from networks of their own: one run after the other, or several side by side.

    (1)  network i is what `junlearn.engine.run.run` gives from start i with key i and seed i, to rounding (1e-5)

"loop" is that run, by programs that are compiled once. The other ways make the steps of a chunk's networks at the same
time, by a program a stage, as `junlearn.many` trains them. They are for methods all of whose stages have a known
length, and networks that forget the same examples:

    a stage with `until`             stops where its own network is done
    a stage with `begin`             has work on the host for one network
    other examples to be forgotten   other stages, which need not even be equally long
    states, or feeds, of other shapes

Such are done by the loop, if `how` is "auto" or the last kind turns up in a chunk; `One.how` tells. Where neither is in
the way, "auto" runs the first network alone. It goes on so if the compilation of a second program takes longer than all
the others' runs, or if convolutions would become grouped ones on a CPU; else it stops the first chunk as soon as that
has taken longer than the same networks one after the other.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from junlearn.engine import compiling
from junlearn.engine.abreast import NoRoom, One, convolves_slowly, told
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.chunks import (
    Diverging,
    How,
    check_ways,
    chunks_of,
    memory_of,
    models_mesh,
)
from junlearn.engine.inputs.networks import check_images, check_model
from junlearn.engine.inputs.options import LoopKind, keys_of, run_options, seed_of
from junlearn.engine.inputs.sources import sources_of
from junlearn.engine.inputs.splits import check_rows
from junlearn.engine.lanes import Apart, Lanes, Slow, Task
from junlearn.engine.run import finish_run, run_stages
from junlearn.engine.settings import Placement, Snapshots
from junlearn.errors import ConfigError, DivergedError
from junlearn.types import Key, Method, Model, Sources, Split, Variables, View

__all__ = ["Walk", "unlearn_each"]

COMPILATION = 0.5
"""Seconds that the compilation of a stage's second program takes at least, where the first one was there already."""


def unlearn_each(
    method: Method,
    model: Model,
    sources: Sources,
    splits: Split | Sequence[Split],
    starts: Callable[[int], Variables] | Sequence[Variables] | Variables,
    *,
    keys: Sequence[Key] | Key,
    seeds: Sequence[int] | int = 0,
    views: Mapping[str, View] | None = None,
    how: How = "auto",
    chunks: Sequence[Sequence[int]] | None = None,
    places: int | None = None,
    loop: LoopKind = "auto",
    mesh: Mesh | None = None,
    memory: int | None = None,
    initial: Callable[[int], Variables] | None = None,
    progress: Callable[[int, int], None] | None = None,
    diverging: Diverging = "raise",
) -> Iterator[One]:
    """The networks `starts(i)` after `method`, each given as soon as it, or its chunk, is done, and kept nowhere else.

    `keys` has one key a network; `splits`, `starts` and `seeds` (of the data order) are one a network or one for all.
    `starts`, and `initial` (the weights that the training of a start began from, for methods in need of them), are
    asked when a network's turn comes. `chunks`, `places`, `loop`, `mesh`, `memory` and `diverging` are those of
    `junlearn.many.train_each`; networks that cannot be side by side have each batch spread over the devices of `mesh`.
    `progress(done, total)` counts networks.

    Raises ConfigError, at once, for arguments that do not fit each other or that `junlearn.engine.run.run` refuses, and
    for another `how` than "auto" or "loop" where networks cannot be side by side; DivergedError, which names the
    network, unless it is kept; Interrupted at the next step boundary after a signal that the command line handles.
    """
    where = "unlearn_each"
    check_ways(how, diverging)
    if not isinstance(method, Method):
        raise ConfigError(f"{where}: a Method is wanted, not {kind_of(method)}")
    check_model(model)
    run_options({"views": views, "loop": loop, "progress": progress, "mesh": mesh})
    sources = sources_of(sources, "sources", values=False, images=model.input_shape is not None)
    if model.input_shape is not None:
        check_images(model, sources, views, "sources")
    given = keys_of(keys, f"{where}: keys")
    if not isinstance(given, list):
        raise ConfigError(f"{where}: keys is a single key, and one a network is wanted")
    count = len(given)
    if isinstance(splits, Split):
        splits = [check_rows(sources, splits)] * count
    else:
        splits = [check_rows(sources, own) for own in _listed(splits, count, f"{where}: splits")]
    orders = _listed(seeds, count, f"{where}: seeds")
    task = Task(
        method,
        model,
        jax.tree.map(jnp.asarray, sources),
        views or PLAIN_VIEWS,
        splits,
        _asked(starts, count, f"{where}: starts"),
        initial,
        given,
        [seed_of(seed, f"{where}: seeds[{i}]") for i, seed in enumerate(orders)],
        Placement(loop, models_mesh(mesh, where)),
    )
    fixed, places = chunks_of(chunks, places, count, where)
    numbers = list(range(count)) if fixed is None else [i for chunk in fixed for i in chunk]
    reason = task.apart(numbers)
    if reason and how not in ("auto", "loop"):
        raise ConfigError(f'{where}: how="{how}", but {reason}: use "loop" or "auto"')
    walk = Walk(task, fixed, places, memory_of(memory, where), diverging)
    ones = walk.each(numbers, "loop" if reason else how)
    return ones if progress is None else _counted(ones, len(numbers), progress)


def _listed(values: Any, count: int, where: str) -> list[Any]:
    """One value a network, of those or that one."""
    if not isinstance(values, list | tuple | range | np.ndarray):
        return [values] * count
    if len(values) != count:
        raise ConfigError(f"{where}: {len(values)} of them, and {count} keys")
    return list(values)


def _asked(starts: Any, count: int, where: str) -> Callable[[int], Variables]:
    """A function of the number of a network, of whatever was given."""
    if callable(starts):
        return starts
    return _listed(
        [starts] * count if isinstance(starts, Variables) else starts, count, where
    ).__getitem__


def _counted(
    ones: Iterator[One], total: int, progress: Callable[[int, int], None]
) -> Iterator[One]:
    for done, one in enumerate(ones, start=1):
        progress(done, total)
        yield one


class Walk:
    """Through the networks, in one of the ways."""

    def __init__(
        self,
        task: Task,
        chunks: list[list[int]] | None,
        places: int | None,
        memory: int,
        diverging: str,
    ) -> None:
        self.task, self.chunks, self.places = task, chunks, places
        self.memory, self.diverging = memory, diverging
        self.devices = 1 if task.placement.mesh is None else task.placement.mesh.size
        self.size = 1
        """How many networks were side by side at the most."""

    def each(self, numbers: list[int], how: str) -> Iterator[One]:
        """All of them. With a mesh "loop" is a network at a time on each device, where they can be side by side."""
        if self.devices > 1 and not self.task.apart(numbers):
            slow = numbers and convolves_slowly(self.task.start(numbers[0]).params)
            yield from self._together(
                numbers, ("loop" if slow else "vmap") if how == "auto" else how
            )
        elif how == "auto" and numbers:
            yield from self._fastest(numbers)
        elif how in ("auto", "loop"):
            yield from map(self._alone, numbers)
        else:
            yield from self._together(numbers, how)

    def _alone(self, number: int) -> One:
        """One network by a run of its own."""
        task = self.task
        try:
            staged = run_stages(
                *(task.method, task.model, task.start(number), task.sources, task.splits[number]),
                key=task.keys[number],
                seed=task.seeds[number],
                initial=task.begun(number),
                views=task.views,
                placement=task.placement,
                snapshots=Snapshots(),
            )
            result = finish_run(task.method, task.model, staged, task.splits[number])
        except DivergedError as error:
            line = told(f"model {number}, {error}", self.diverging, error)
            return One(number, None, [], 0.0, "loop", line)
        seconds = staged.seconds["run"] + staged.seconds["evaluate"]
        own = None if result.model is task.model else result.model
        variables = jax.device_get(result.variables)
        return One(number, variables, staged.history, seconds, "loop", None, own)

    def _together(
        self, numbers: list[int], how: str, each: float = np.inf
    ) -> Generator[One, None, None]:
        """Chunk by chunk, or by the loop where the networks of a chunk turn out to be unlike.

        Raises Slow if the networks of the first chunk take longer than `each` seconds.
        """
        lanes = Lanes(self.task, how, self.memory, self.diverging)
        size, at = self.places or -(-len(numbers) // self.devices), 0
        size = 1 if how == "loop" else size
        while at < len(numbers):
            part = self._part(numbers, at, size)
            self.size = max(self.size, len(part))
            try:
                ones = lanes.run(part, size, each * len(part) if at == 0 else np.inf)
            except NoRoom as full:
                if self.places:
                    raise
                size = full.size
                continue
            except Apart:
                ones = [self._alone(number) for number in part]
            yield from ones
            at += len(part)

    def _part(self, numbers: list[int], at: int, size: int) -> list[int]:
        """The chunk that begins with the network at `at`, on several devices as many as they take."""
        fixed = {chunk[0]: chunk for chunk in self.chunks or ()} if size > 1 else {}
        part: list[int] = []
        for _ in range(self.devices):
            ahead = at + len(part)
            if ahead < len(numbers):
                part += fixed.get(numbers[ahead], numbers[ahead : ahead + size])
        return part

    def _fastest(self, numbers: list[int]) -> Iterator[One]:
        """As the first networks tell."""
        with compiling.measured() as compilation:
            first = [self._alone(number) for number in numbers[:1]]
        # The first run warms up what the second one finds.
        began = time.perf_counter()
        first += [self._alone(number) for number in numbers[1:2]]
        each = time.perf_counter() - began
        left = len(numbers) - len(first)
        price = max(compilation.seconds, COMPILATION)
        worth = left * each > price
        if worth and not convolves_slowly(self.task.start(numbers[0]).params):
            ones = self._together(numbers, "vmap", each)
            try:
                head = next(ones)
            except (Slow, NoRoom):
                ones.close()
            else:
                yield head
                yield from ones
                return
        yield from first
        yield from map(self._alone, numbers[len(first) :])
