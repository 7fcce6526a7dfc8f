"""Many retrained references or shadow models by one compiled program: S trainings of the same recipe, side by side.

    (1)  model i is what `junlearn.train.train` gives on retain set i with key i and seed i, to rounding (1e-5)
    (2)  the models of a chunk make their step t at the same time, each on its own batch; one that has made all its
         steps waits, bit for bit unchanged, until the last one is done

How a chunk of C models makes a step, always the pure step of `junlearn.methods.retrain`:

    "vmap"     all at once, by batched operations; convolutions become grouped ones, which are slow on a CPU
    "patches"  as "vmap", but convolutions of the registered networks are products of patches and kernels
    "map"      one model after the other, in one program (`lax.map`)
    "loop"     C = 1: one training after the other, by a program that is compiled once instead of S times
    "auto"     the fastest of "vmap", "loop" and, where there are kernels, "patches": each is compiled and timed on the
               first batches (`Many.measured`), once in a process for the same model, recipe, shape of data, number of
               models, memory and device

`train_many` gives them all at the end, `train_each` one by one, to be written away as they come.

Where the schedule of the recipe reads the number of steps, models with different numbers of steps have different
programs: models with equally many steps are trained as a group, a compilation each. With a constant rate there is one
group, whatever the sizes of the sets.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine import processes
from junlearn.engine.abreast import One, convolves_slowly
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.chunks import Diverging, How, check_ways, chunks_of, memory_of, sets_of
from junlearn.engine.inputs.options import LoopKind, loggers_of, run_options
from junlearn.engine.run_result import telling
from junlearn.engine.settings import Placement
from junlearn.engine.side_by_side import ManyTrainer
from junlearn.errors import ConfigError
from junlearn.logs.safely import told
from junlearn.methods import build, retrain
from junlearn.parts.recipe import length, scheduled
from junlearn.types import Key, Model, Sources, Split, Variables, View

__all__ = ["How", "Many", "One", "pick", "train_each", "train_many"]

_measured: dict[Any, dict[str, float]] = {}


class Many(NamedTuple):
    """S trained networks. They print as one line, `print(many.table())` has a row a network."""

    variables: Variables
    """On the host, every array with a leading axis [S]; see `pick`."""
    history: list[list[dict[str, Any]]]
    """Of each model what `junlearn.engine.run.Result.history` is of one."""
    seconds: dict[str, float]
    """compile, measure (the timings of "auto"), run (steps alone) and total wall time."""
    how: str
    """What was done: "vmap", "patches", "map" or "loop"."""
    chunk: int
    """C, how many models were on the device at a time (of several groups, the most)."""
    measured: dict[str, float]
    """Seconds of a step of one model by each candidate of "auto"; empty where there was nothing to choose."""

    def __repr__(self) -> str:
        return str(telling().line_of_many(self))

    def table(self, form: str = "text") -> Any:
        """A row a network: its epochs, its steps, and its metrics in the last epoch.

        `form`: "text", "markdown", "latex", "csv" or "html". Raises ConfigError for another one.
        """
        return telling().table_of_many(self, form)

    def _repr_html_(self) -> str:
        return str(telling().page_of_many(self))


def pick(many: Many | Variables, number: int) -> Variables:
    """Network `number` of the S, on the device."""
    variables = many.variables if isinstance(many, Many) else many
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[number]), variables)


def train_many(
    config: retrain.Config,
    model: Model,
    sources: Sources,
    retains: Sequence[np.ndarray | Sequence[int]] | None = None,
    *,
    keys: Sequence[Key] | Key | None = None,
    seeds: Sequence[int] | int = 0,
    views: Mapping[str, View] | None = None,
    how: How = "auto",
    loop: LoopKind = "auto",
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    log: Any = None,
) -> Many:
    """Train S networks, one on each set of indices in `retains` (None: one a key, each on all of "train").

    `keys` are those of initialisation and augmentation, one a model; a single one (default: that of seed 0) is split
    into S. `seeds` order the data, one a model or the same for all. `loop` is that of `junlearn.engine.run.run`.
    `memory`: bytes for the models of a chunk, their activations included, the sources not; by default 60 % of what is
    free on the device, 2 GiB where it does not say. `progress(done, total)` counts the steps of all models, a chunk at
    a time. `log`: a logger or several, told of each network when it is done, as `junlearn.logs.safely.told` says.

    Raises ConfigError for sets, keys or seeds that do not fit each other, a recipe whose `keep` is not "last", and
    memory in which not one model has room; DivergedError, which names the model, when a metric or a
    trained network is NaN or infinite.
    """
    began, loggers = time.perf_counter(), loggers_of(log)
    training = _Training(
        *(config, model, sources, retains, keys, seeds, views, how, loop, memory, progress)
    )
    ones = sorted(
        told(training.each(), loggers if processes.is_first() else ()), key=lambda one: one.number
    )
    stacked = jax.tree.map(lambda *a: np.stack(a), *(one.variables for one in ones))
    training.seconds["total"] = time.perf_counter() - began
    return Many(
        stacked,
        [one.history for one in ones],
        training.seconds,
        training.how,
        training.chunk,
        training.measured,
    )


def train_each(
    config: retrain.Config,
    model: Model,
    sources: Sources,
    retains: Sequence[np.ndarray | Sequence[int]] | None = None,
    *,
    keys: Sequence[Key] | Key | None = None,
    seeds: Sequence[int] | int = 0,
    views: Mapping[str, View] | None = None,
    how: How = "auto",
    chunks: Sequence[Sequence[int]] | None = None,
    places: int | None = None,
    loop: LoopKind = "auto",
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    diverging: Diverging = "raise",
) -> Iterator[One]:
    """The networks of `train_many`, each given as soon as its chunk is done and kept nowhere else.

    With `chunks`, lists of model numbers, these models alone are trained, each list together, in its order, in a
    program of `places` models (default: the longest list's number; the last model of a shorter list is repeated). The
    bits of a network then depend on its list, on `places`, `how` and `loop`, and on nothing else that is trained
    beside. With `how="auto"` what was chosen is `One.how`: who wants the same bits in another process passes it on. On
    a CPU it is "loop", untimed, for networks with kernels: there the loop was the fastest of all that were measured.

    `diverging="kept"`: a network that is NaN or infinite ends nothing, and is given with the line in `One.diverged`.

    Raises as `train_many` does, of arguments at once; ConfigError also for chunks that do not fit the models, a chunk
    whose models have different schedules, and memory in which not all places of a chunk have room. A signal that the
    command line handles raises Interrupted at the next step boundary.
    """
    where = "train_each"
    if how == "auto":
        shapes = jax.eval_shape(model.init, jax.random.key(0), model.example(sources))
        how = "loop" if convolves_slowly(shapes.params) else how
    training = _Training(
        *(config, model, sources, retains, keys, seeds, views, how, loop, memory, progress),
        diverging=diverging,
        where=where,
    )
    training.fix(*chunks_of(chunks, places, len(training.splits), where))
    return training.each()


class _Training:
    """The arguments of a call, checked, and what has been done for it."""

    def __init__(
        self,
        config: retrain.Config,
        model: Model,
        sources: Sources,
        retains: Any,
        keys: Any,
        seeds: Any,
        views: Any,
        how: Any,
        loop: Any,
        memory: Any,
        progress: Any,
        diverging: Any = "raise",
        where: str = "train_many",
    ) -> None:
        check_ways(how, diverging)
        if config.keep != "last":
            raise ConfigError(
                f'{where} returns the last weights; keep="{config.keep}" is for train'
            )
        run_options({"views": views, "loop": loop, "progress": progress})
        self.limit = memory_of(memory, where)
        size = sources["train"].y.shape[0]
        sets, self.keys, self.seeds = sets_of(size, retains, keys, seeds, where)
        none = np.zeros(0, int)
        self.splits = [Split(none, rows, none, none) for rows in sets]
        self.steps = [length(config, len(rows)).made for rows in sets]
        self.kinds = [length(config, len(rows)) if scheduled(config) else None for rows in sets]
        self.config, self.model, self.memory = config, model, memory
        self.sources = jax.tree.map(jnp.asarray, sources)
        self.views = views or PLAIN_VIEWS
        self.scan = Placement(loop).scans
        self.progress, self.diverging, self.where = progress, diverging, where
        self.how: str = how
        self.chunks: list[list[int]] | None = None
        self.places: int | None = None
        self.chunk = 0
        self.measured: dict[str, float] = {}
        self.seconds = {"compile": 0.0, "measure": 0.0, "run": 0.0, "total": 0.0}

    def fix(self, chunks: list[list[int]] | None, places: int | None) -> None:
        """Train these chunks alone, each in a program of so many places."""
        self.chunks, self.places = chunks, places
        for chunk in chunks or ():
            if len({self.kinds[i] for i in chunk}) > 1:
                raise ConfigError(
                    f"{self.where}: the models {chunk} have different numbers of steps, and a schedule that reads it: "
                    "train them in different chunks"
                )

    def each(self) -> Iterator[One]:
        """What is trained, a chunk after the other."""
        done, total = 0, sum(self.steps)
        if self.chunks is not None:
            total = sum(self.steps[i] for chunk in self.chunks for i in chunk)
        for trainer, part in self._parts():
            if self.how == "auto":
                shapes = tuple(
                    (a.shape, str(a.dtype)) for a in jax.tree.leaves(self.sources["train"])
                )
                kind = jax.devices()[0].device_kind
                count = self.places or len(trainer.members)
                asked = (kind, self.model, self.config, shapes, count, self.scan, self.memory)
                self.how, self.measured = _choose(trainer, asked)
            for ones in trainer.train(self.how, part):
                self.chunk = max(self.chunk, trainer.size(self.how))
                done += sum(self.steps[one.number] for one in ones)
                if self.progress is not None:
                    self.progress(done, total)
                yield from ones

    def _parts(self) -> Iterator[tuple[ManyTrainer, list[int]]]:
        """The models that go by one program, those with most steps first, or the chunks in the order given."""
        if self.chunks is None:
            # The largest group first: what is chosen for it, the others follow.
            groups: dict[Any, list[int]] = {}
            for i, kind in enumerate(self.kinds):
                groups.setdefault(kind, []).append(i)
            for members in sorted(groups.values(), key=len, reverse=True):
                members = sorted(members, key=lambda i: -self.steps[i])
                yield self._trainer(members), members
            return
        trainers: dict[Any, ManyTrainer] = {}
        for chunk in self.chunks:
            kind = self.kinds[chunk[0]]
            if kind not in trainers:
                trainers[kind] = self._trainer(chunk)
            yield trainers[kind], chunk

    def _trainer(self, members: list[int]) -> ManyTrainer:
        return ManyTrainer(
            build("retrain", self.config, self.model),
            self.sources,
            views=self.views,
            splits=self.splits,
            keys=self.keys,
            seeds=self.seeds,
            steps=self.steps,
            members=members,
            places=self.places,
            scan=self.scan,
            memory=self.limit,
            seconds=self.seconds,
            diverging=self.diverging,
        )


def _choose(trainer: ManyTrainer, asked: Any) -> tuple[str, dict[str, float]]:
    """The fastest of the candidates and what each takes; only one candidate where a chunk is one model anyway."""
    if asked not in _measured:
        single = trainer.size("vmap") == 1
        names = ("vmap", "patches", "loop") if trainer.convolves else ("vmap", "loop")
        _measured[asked] = {} if single else trainer.times(names)
    figures = _measured[asked]
    return min(figures, key=figures.__getitem__, default="loop"), dict(figures)
