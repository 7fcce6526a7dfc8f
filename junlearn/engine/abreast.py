"""The compiled step of several models at once: each its own state, keys and rows, all of them the same function."""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from threading import Event
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from junlearn.compiler import jitted
from junlearn.engine import interrupts
from junlearn.engine.batches import Keys, Rows, Spec, gather
from junlearn.engine.memory import compiled
from junlearn.errors import ConfigError, DivergedError
from junlearn.memo import remembered
from junlearn.models.convolution import written_as
from junlearn.types import Array, Metrics, Model, PyTree, Sources, Variables, View

__all__ = [
    "NoRoom",
    "One",
    "Row",
    "advance",
    "at_place",
    "compile_for",
    "convolves_slowly",
    "function_of",
    "spread",
    "stack",
    "told",
]


class One(NamedTuple):
    """One network of many."""

    number: int
    """Which of them it is."""
    variables: Variables | None
    """On the host, without an axis of models; None where the network diverged."""
    history: list[dict[str, Any]]
    """As `junlearn.engine.run.Result.history`; empty where the network diverged."""
    seconds: float
    """What its steps took (and the questions of stages that can stop); of a chunk its share, by numbers of steps.
    Not known, and 0, of a network that diverged in the loop of `junlearn.engine.unlearn_each`."""
    how: str
    """The way that was taken: "vmap", "patches", "map" or "loop"."""
    diverged: str | None = None
    """The line of the DivergedError that the network would have ended with; None: all of its numbers are finite."""
    model: Model | None = None
    """The network's own model, where the method changed it; None: the one that was passed."""


class NoRoom(ConfigError):
    """Memory is not enough for as many models at a time as a program is wanted for."""

    def __init__(self, wanted: int, size: int) -> None:
        super().__init__(
            f"a chunk has {wanted} places, and memory is enough for {size}: allow more, or make chunks smaller"
        )
        self.size = size


class Row(NamedTuple):
    """What one model is fed at one step; of a window every field has the leading axes [W,C]."""

    rows: Rows
    """Of every Feed of the step: index int32[B] into its source, mask bool[B] and, where there are some, slots."""
    stage: Any
    epoch: Any
    step: Any
    active: Any
    """bool[]: False once the model has made all its steps."""


def stack(trees: Sequence[PyTree], size: int) -> PyTree:
    """Every array with a leading axis of models [size]; the last one is repeated until there are as many."""
    padding = size - len(trees)
    return jax.tree.map(lambda *leaves: jnp.stack([*leaves, *leaves[-1:] * padding]), *trees)


def spread(many: Sequence[Callable[[], PyTree]], mesh: Mesh | None) -> PyTree:
    """Every array with a leading axis of models, on each device of `mesh` its part of them.

    `many` make them, one after the other; no device ever holds more than the models of two.
    """
    if mesh is None:
        return stack([make() for make in many], len(many))
    size = len(many) // mesh.size
    parts = []
    for number, device in enumerate(mesh.devices.flat):
        own = [make() for make in many[number * size : (number + 1) * size]]
        parts.append(jax.device_put(stack(own, size), device))
    sharding = NamedSharding(mesh, PartitionSpec("data"))

    def whole(*leaves: jax.Array) -> jax.Array:
        shape = (len(many), *leaves[0].shape[1:])
        return jax.make_array_from_single_device_arrays(shape, sharding, list(leaves))

    return jax.tree.map(whole, *parts)


@jitted
def at_place(tree: PyTree, place: int | Array) -> PyTree:
    """What one model has in a tree of a leading axis of models; compiled once for trees of one shape."""
    return jax.tree.map(lambda leaf: leaf[place], tree)


def compile_for(
    function: Any,
    one: tuple[PyTree, Keys],
    sources: Sources,
    rows: Row,
    *,
    size: int,
    scan: bool,
) -> Any:
    """`function` compiled for `size` models, told from the shapes of a single one: state and keys `one` [1], `rows`
    [W,1] of a window.
    """

    def wide(leaf: Any, axis: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*leaf.shape[:axis], size, *leaf.shape[axis + 1 :]), leaf.dtype)

    state, keys = jax.tree.map(lambda leaf: wide(leaf, 0), one)
    fed = jax.tree.map(lambda leaf: wide(leaf, 1), rows)
    if not scan:
        fed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), fed)
    return compiled(function, state, keys, sources, fed)


def advance(
    program: Any,
    scan: bool,
    state: PyTree,
    keys: Keys,
    sources: Sources,
    rows: Row,
    steps: int,
    where: str,
    over: Event | None = None,
) -> tuple[PyTree, dict[str, np.ndarray]]:
    """The steps of a window, in a Python loop at most `steps` of them; metrics [W,C] on the host.

    Raises Interrupted, which names `where`, at the first step boundary after a signal; of a scan at its end. Raises
    CancelledError so once `over` is set: nobody waits for the rest.
    """
    collected = []
    with interrupts.held():
        if scan:
            state, metrics = program(state, keys, sources, rows)
            metrics = jax.device_get(metrics)
        else:
            for t in range(min(steps, len(rows.stage))):
                if interrupts.pending() or (over is not None and over.is_set()):
                    break
                row = jax.tree.map(lambda a: a[t], rows)  # noqa: B023
                state, metrics = program(state, keys, sources, row)
                collected.append(metrics)
            host = jax.device_get(collected)
            metrics = {name: np.stack([m[name] for m in host]) for name in host[0]} if host else {}
        if stopped := interrupts.pending():
            raise interrupts.Interrupted(stopped, where)
    if over is not None and over.is_set():
        raise CancelledError(where)
    return state, metrics


def convolves_slowly(params: PyTree) -> bool:
    """Whether networks with these weights (or shapes of them) are slow side by side: on a CPU one convolution keeps all
    cores busy, and grouped ones, and products of patches, are slower.
    """
    kernels = any(np.ndim(leaf) == 4 for leaf in jax.tree.leaves(params))
    return kernels and jax.default_backend() == "cpu"


def told(line: str, diverging: str, cause: BaseException | None = None) -> str:
    """`line` of a network that diverged, to be kept beside it. Raises DivergedError where it ends all of them."""
    if diverging == "raise":
        raise DivergedError(line) from cause
    return line


@remembered
def function_of(
    step: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]],
    spec: Spec,
    views: tuple[tuple[str, View], ...],
    how: str,
    waits: bool,
    scan: bool,
    mesh: Mesh | None = None,
) -> Callable[..., tuple[PyTree, Metrics]]:
    """`(state, keys, sources, rows) -> (state, metrics)`, jitted; all but the sources have an axis of models.

    With `waits` a model whose row is not active does not change. With `mesh` each of its devices does this for its part
    of the models, all at the same time; nothing goes from one to the other.
    """

    def one(sources: Sources, state: PyTree, keys: Keys, row: Row) -> tuple[PyTree, Metrics]:
        key, frozen = keys
        key = jax.random.fold_in(jax.random.fold_in(key, row.stage), row.epoch)
        batch = gather(spec, row.rows, sources, dict(views), key, frozen)
        after, metrics = step(state, batch)
        if waits:
            after = jax.tree.map(lambda new, old: jnp.where(row.active, new, old), after, state)
        return after, metrics

    def each(state: PyTree, keys: Keys, sources: Sources, rows: Row) -> tuple[PyTree, Metrics]:
        if how in ("vmap", "patches"):
            with written_as("patches" if how == "patches" else "fast"):
                return jax.vmap(one, in_axes=(None, 0, 0, 0))(sources, state, keys, rows)
        if how == "map":
            return jax.lax.map(lambda own: one(sources, *own), (state, keys, rows))
        own = jax.tree.map(lambda leaf: jnp.squeeze(leaf, 0), (state, keys, rows))
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), one(sources, *own))

    def scanned(state: PyTree, keys: Keys, sources: Sources, rows: Row) -> tuple[PyTree, Metrics]:
        return jax.lax.scan(lambda s, row: each(s, keys, sources, row), state, rows)

    steps = scanned if scan else each
    if mesh is None:
        return jitted(steps, donate_argnums=0, keep_unused=True)
    models, fed = (
        PartitionSpec("data"),
        PartitionSpec(None, "data") if scan else PartitionSpec("data"),
    )
    taken, given = (models, models, PartitionSpec(), fed), (models, fed)
    apart = jax.shard_map(steps, mesh=mesh, in_specs=taken, out_specs=given, check_vma=False)
    # Said outside, too: a program that is compiled ahead takes its arguments as they were said to lie.
    lie = [tuple(NamedSharding(mesh, spec) for spec in specs) for specs in (taken, given)]
    return jitted(
        apart, in_shardings=lie[0], out_shardings=lie[1], donate_argnums=0, keep_unused=True
    )
