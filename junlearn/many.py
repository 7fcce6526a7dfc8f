"""Many retrained references or shadow models by one compiled program: S trainings of the same recipe, side by side.

    (1)  model i is what `junlearn.train.train` gives on retain set i with key i and seed i, to rounding (1e-5)
    (2)  the models of a chunk make their step t at the same time, each on its own batch; one that has made all its
         steps waits, bit for bit unchanged, until the last one is done

How a chunk of C models makes a step, always the pure step of `junlearn.methods.retrain`:

    "vmap"     all at once, by batched operations; convolutions become grouped ones, which are slow on a CPU
    "patches"  as "vmap", but convolutions of the registered networks are products of patches and kernels
    "map"      one model after the other, in one program (`lax.map`)
    "loop"     one training after the other, by a program that is compiled once instead of S times; on a CPU two of them
               at the same time where a step is small (30 million operations) and would leave a core idle
    "auto"     the fastest of "vmap", "loop" and, where there are kernels, "patches": each is compiled and timed on the
               first batches (`Many.measured`), once in a process for the same model, recipe, shape of data, number of
               models, memory and devices

On a `mesh` every device does this with a chunk of its own, all at the same time: C models are C over the number of
devices on each, and the data are on all. A number of models that the devices do not divide leaves places empty in the
last chunk: these cost time, and change nothing.

`train_many` gives them all at the end, `train_each` one by one, to be written away as they come.

Where the schedule of the recipe reads the number of steps, or `keep` chooses among the weights of epochs, models with
different numbers of steps have different programs: models with equally many steps are trained as a group, a
compilation each. With a constant rate and the last weights there is one group, whatever the sizes of the sets.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from junlearn.engine import processes
from junlearn.engine.abreast import NoRoom, One, convolves_slowly
from junlearn.engine.checkpoint import Store
from junlearn.engine.finished import Finished, store_of
from junlearn.engine.inputs.chunks import Diverging, How, chunks_of, places_of
from junlearn.engine.inputs.options import LoopKind, loggers_of
from junlearn.engine.run_result import telling
from junlearn.engine.trainings import Trainings
from junlearn.logs.safely import told
from junlearn.methods import build, retrain
from junlearn.types import Key, Method, Model, Sources, Variables, View

__all__ = ["How", "Many", "One", "pick", "train_each", "train_many"]

CHUNK = 8
"""Networks side by side on a device where they are kept: what a kill can cost."""


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
    """C, how many models were on the devices at a time (of several groups, the most); 0 where all were read."""
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
    places: int | None = None,
    loop: LoopKind = "auto",
    mesh: Mesh | None = None,
    store: Store | str | PathLike[str] | None = None,
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    log: Any = None,
) -> Many:
    """Train S networks, one on each set of indices in `retains` (None: one a key, each on all of "train").

    `keys` are those of initialisation and augmentation, one a model; a single one (default: that of seed 0) is split
    into S, the first of them the same for every S. `seeds` order the data, one a model or the same for all. `loop` is
    that of `junlearn.engine.run.run`. `places`: models side by side on a device, by default as many as there is room
    for. `mesh`: the devices that the models are spread over, the data on all of them; by default they are on one.

    `store`: a directory (or a Store, whose owner is compared, too) where each network is kept as soon as its chunk is
    done. The same call again reads what is there and trains the rest, so that a kill costs the chunk in progress, of 8
    networks a device unless `places` says otherwise; and more sets or keys at the end train these alone (in a last
    chunk that was not full, beside those that it had). The result is that of one call, bit for bit on the same devices.
    Where recipe, data, rows, keys, seeds, model or views are not those of a network that is there, nothing is trained.
    (Functions are told by what a fresh network answers.)

    `memory`: bytes a device for the models of a chunk, their activations included, the sources not; by default 60 % of
    what is free on the device, 2 GiB where it does not say. `progress(done, total)` counts the steps of all models that
    are trained, a chunk at a time. `log`: a logger or several, told of each network when it is trained, as
    `junlearn.logs.safely.told` says.

    Raises ConfigError for sets, keys or seeds that do not fit each other, a mesh with devices of other processes, and
    memory in which not one model has room; CheckpointError for a store with networks of another training, and where one
    cannot be written; DivergedError, which names the model, when a metric or a trained network is NaN or infinite.
    """
    where = "train_many"
    began, loggers = time.perf_counter(), loggers_of(log)
    training = Trainings(
        *(partial(_method, model), config, model, sources, retains),
        keys=keys,
        seeds=seeds,
        views=views,
        how=how,
        loop=loop,
        memory=memory,
        progress=progress,
        mesh=mesh,
        where=where,
    )
    own, places = store_of(store, where), places_of(places, where)
    kept: dict[int, One] = {}
    ones = training.each()
    if own is not None or places is not None:
        shelf = None if own is None else Finished(own, *training.named())
        way: dict[str, Any] = {}
        if shelf is not None:
            kept, way = shelf.read()
        # In the way of those that are there: in another one the last bits are others.
        training.how = way.get("how", how) if how == "auto" else how
        ones = _kept(training, shelf, set(kept), places or way.get("places", CHUNK))
    before = sum(entry["steps"] for one in kept.values() for entry in one.history)
    made = told(ones, loggers if processes.is_first() else (), before)
    every = sorted([*kept.values(), *made], key=lambda one: one.number)
    stacked = jax.tree.map(lambda *a: np.stack(a), *(one.variables for one in every))
    training.seconds["total"] = time.perf_counter() - began
    return Many(
        stacked,
        [one.history for one in every],
        training.seconds,
        training.how,
        training.chunk,
        training.measured,
    )


def _kept(
    training: Trainings, shelf: Finished | None, there: set[int], places: int
) -> Iterator[One]:
    """The networks that are not there yet, in chunks of `places`, or fewer where memory is short; each is kept."""
    missing = set(range(len(training.splits))) - there
    while missing:
        training.regular(missing, places)
        try:
            for one in training.each():
                if one.number in missing:
                    if shelf is not None and processes.is_first():
                        shelf.write(one, places)
                    missing.discard(one.number)
                    yield one
        except NoRoom as error:
            if places == 1:
                raise
            places = max(1, min(places // 2, error.size))


def _method(model: Model, config: retrain.Config) -> Method:
    return build("retrain", config, model)


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
    mesh: Mesh | None = None,
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    diverging: Diverging = "raise",
) -> Iterator[One]:
    """The networks of `train_many`, each given as soon as its chunk is done and kept nowhere else.

    With `chunks`, lists of model numbers, these models alone are trained, each list together, in its order, in a
    program of `places` models (default: the longest list's number; the last model of a shorter list is repeated). The
    bits of a network then depend on its list, on `places`, `how` and `loop`, and on nothing else that is trained
    beside. On a `mesh` each device has a list at a time. With `how="auto"` what was chosen is `One.how`: who wants the
    same bits in another process passes it on. On a CPU it is "loop", untimed, for networks with kernels: there the loop
    was the fastest of all that were measured.

    `diverging="kept"`: a network that is NaN or infinite ends nothing, and is given with the line in `One.diverged`.

    Raises as `train_many` does, of arguments at once; ConfigError also for chunks that do not fit the models, a chunk
    whose models have no program in common, and memory in which not all places of a chunk have room. A signal that the
    command line handles raises Interrupted at the next step boundary.
    """
    where = "train_each"
    if how == "auto":
        shapes = jax.eval_shape(model.init, jax.random.key(0), model.example(sources))
        how = "loop" if convolves_slowly(shapes.params) else how
    training = Trainings(
        *(partial(_method, model), config, model, sources, retains),
        keys=keys,
        seeds=seeds,
        views=views,
        how=how,
        loop=loop,
        memory=memory,
        progress=progress,
        mesh=mesh,
        where=where,
        diverging=diverging,
    )
    training.fix(*chunks_of(chunks, places, len(training.splits), where))
    return training.each()
