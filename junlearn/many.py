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

Where the schedule of the recipe reads the number of steps, models with different numbers of steps have different
programs: models with equally many steps are trained as a group, a compilation each. With a constant rate there is one
group, whatever the sizes of the sets.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.arrays import array_of, kind_of, rows_of
from junlearn.engine.inputs.options import keys_of, run_options, seed_of
from junlearn.engine.memory import available
from junlearn.engine.settings import Placement
from junlearn.engine.side_by_side import ManyTrainer
from junlearn.errors import ConfigError, unknown
from junlearn.methods import build, retrain
from junlearn.parts.recipe import length, scheduled
from junlearn.types import Key, Model, Sources, Split, Variables, View

__all__ = ["How", "Many", "pick", "train_many"]

How = Literal["auto", "vmap", "patches", "map", "loop"]

_measured: dict[Any, dict[str, float]] = {}


class Many(NamedTuple):
    """S trained networks."""

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
    loop: Literal["auto", "python", "scan"] = "auto",
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Many:
    """Train S networks, one on each set of indices in `retains` (None: one a key, each on all of "train").

    `keys` are those of initialisation and augmentation, one a model; a single one (default: that of seed 0) is split
    into S. `seeds` order the data, one a model or the same for all. `loop` is that of `junlearn.engine.run.run`.
    `memory`: bytes for the models of a chunk, their activations included, the sources not; by default 60 % of what is
    free on the device, 2 GiB where it does not say. `progress(done, total)` counts the steps of all models, a chunk at
    a time.

    Raises ConfigError for sets, keys or seeds that do not fit each other, a recipe whose `keep` is not "last", and
    memory in which not one model has room; DivergedError, which names the model, when a metric or a
    trained network is NaN or infinite.
    """
    began = time.perf_counter()
    if how not in get_args(How):
        raise unknown("how", how, get_args(How))
    if config.keep != "last":
        raise ConfigError(f'train_many returns the last weights; keep="{config.keep}" is for train')
    if memory is not None and (not isinstance(memory, int | np.integer) or memory <= 0):
        raise ConfigError(f"train_many: memory is {memory!r}: a number of bytes is wanted, or None")
    run_options({"views": views, "loop": loop, "progress": progress})
    sets, keys, seeds = _checked(sources["train"].y.shape[0], retains, keys, seeds)
    none = np.zeros(0, int)
    splits = [Split(none, rows, none, none) for rows in sets]
    sources = jax.tree.map(jnp.asarray, sources)
    groups: dict[Any, list[int]] = {}
    for i, rows in enumerate(sets):
        groups.setdefault(length(config, len(rows)) if scheduled(config) else None, []).append(i)
    steps = [length(config, len(rows)).made for rows in sets]

    seconds = {"compile": 0.0, "measure": 0.0, "run": 0.0, "total": 0.0}
    history: list[list[dict[str, Any]]] = [[] for _ in sets]
    results: dict[int, Variables] = {}
    chosen: str = how
    chunk, done = 0, 0
    measured: dict[str, float] = {}
    scan = Placement(loop).scans
    limit = available() if memory is None else memory
    method = build("retrain", config, model)
    # The largest group first: what is chosen for it, the others follow.
    for members in sorted(groups.values(), key=len, reverse=True):
        members = sorted(members, key=lambda i: -steps[i])
        trainer = ManyTrainer(
            method,
            sources,
            views=views or PLAIN_VIEWS,
            splits=splits,
            keys=keys,
            seeds=seeds,
            steps=steps,
            members=members,
            scan=scan,
            memory=limit,
            seconds=seconds,
        )
        if chosen == "auto":
            shapes = tuple((a.shape, str(a.dtype)) for a in jax.tree.leaves(sources["train"]))
            kind = jax.devices()[0].device_kind
            chosen, measured = _choose(
                trainer, (kind, model, config, shapes, len(members), scan, memory)
            )
        for part, variables, entries in trainer.train(chosen):
            chunk = max(chunk, trainer.programs[chosen][0])
            for place, i in enumerate(part):
                results[i] = jax.tree.map(lambda leaf: leaf[place], variables)  # noqa: B023
                history[i] = entries[place]
                done += steps[i]
            if progress is not None:
                progress(done, sum(steps))
    stacked = jax.tree.map(lambda *a: np.stack(a), *(results[i] for i in range(len(sets))))
    seconds["total"] = time.perf_counter() - began
    return Many(stacked, history, seconds, chosen, chunk, measured)


def _choose(trainer: ManyTrainer, cached: Any) -> tuple[str, dict[str, float]]:
    """The fastest of the candidates and what each takes; only one candidate where a chunk is one model anyway."""
    if cached not in _measured:
        single = trainer.program("vmap")[0] == 1
        names = ("vmap", "patches", "loop") if trainer.convolves else ("vmap", "loop")
        _measured[cached] = {} if single else trainer.times(names)
    figures = _measured[cached]
    return min(figures, key=figures.__getitem__, default="loop"), dict(figures)


def _checked(
    size: int,
    retains: Sequence[np.ndarray | Sequence[int]] | None,
    keys: Sequence[Key] | Key | None,
    seeds: Sequence[int] | int,
) -> tuple[list[np.ndarray], list[Key], list[int]]:
    """The sets, a key and a seed for each."""
    given = keys_of(keys, "train_many: keys")
    if retains is None:
        if not isinstance(given, list):
            raise ConfigError("train_many: give sets to train on, or one key a model")
        retains = [np.arange(size)] * len(given)
    if not isinstance(retains, Iterable) or isinstance(retains, str | Mapping):
        raise ConfigError(f"train_many: retains is {kind_of(retains)}: a list of sets is wanted")
    sets = [_set(rows, size, f"train_many: set {i}") for i, rows in enumerate(retains)]
    if not sets:
        raise ConfigError("train_many: there is no model to train: give at least one set or key")
    if not isinstance(given, list):
        given = list(jax.random.split(jax.random.key(0) if given is None else given, len(sets)))
    if not isinstance(seeds, list | tuple | range | np.ndarray) or np.ndim(seeds) == 0:
        seeds = [seeds] * len(sets)  # type: ignore[list-item]
    seeds = [seed_of(seed, f"train_many: seeds[{i}]") for i, seed in enumerate(seeds)]
    for name, values in (("keys", given), ("seeds", seeds)):
        if len(values) != len(sets):
            raise ConfigError(f"train_many: {len(sets)} models, but {len(values)} {name}")
    return sets, given, seeds


def _set(rows: Any, size: int, where: str) -> np.ndarray:
    """int[N]: the rows of one model, which may hold a row more than once."""
    numbers = np.asarray(array_of(rows, where))
    if numbers.ndim != 1 or numbers.size == 0 or numbers.dtype.kind not in "iu":
        raise ConfigError(f"{where} is not a list of at least one index")
    return rows_of(numbers, size, where)
