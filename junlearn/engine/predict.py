"""Outputs of a network on many examples, in large padded batches of one compiled shape."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from junlearn.compiler import jitted
from junlearn.engine import processes
from junlearn.engine.batches import view_of
from junlearn.engine.inputs.arrays import kind_of, rows_of
from junlearn.engine.inputs.networks import shapes_of, stack_of
from junlearn.engine.inputs.sources import sources_of
from junlearn.engine.memory import available, compiled, largest_chunk
from junlearn.errors import ConfigError, unknown
from junlearn.memo import remembered
from junlearn.parts import feeds, losses
from junlearn.types import Array, Data, Model, Sources, Variables, View

__all__ = ["embeddings", "evaluate_accuracy", "logits", "logits_many"]

How = Literal["auto", "vmap", "loop"]


@remembered
def _predictor(model: Model, view: View, mesh: Mesh | None = None) -> Any:
    """The compiled forward pass; kept, so that another network of the same model compiles nothing.

    With `mesh` the logits are put together on every device: each process reads them all.
    """
    together = None if mesh is None else NamedSharding(mesh, PartitionSpec())

    return jitted(_forward(model, view), out_shardings=together)


def _forward(model: Model, view: View) -> Any:
    """The forward pass."""

    def predict(variables: Variables, data: Data, index: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(0), index)
        return model.apply(variables, view(data.take(index), keys))[0]

    return predict


@remembered
def _embedder(model: Model, view: View) -> Any:
    """The compiled forward pass up to the head."""

    def embed(variables: Variables, data: Data, index: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(0), index)
        found = model.apply(variables, view(data.take(index), keys))[1]["embedding"]
        return found.reshape(len(index), -1).astype(jnp.float32)

    return jitted(embed)


@remembered
def _predictors(model: Model, view: View) -> Any:
    """The same for networks side by side."""
    return jitted(jax.vmap(_forward(model, view), in_axes=(0, None, None)), keep_unused=True)


def logits(
    model: Model,
    variables: Variables,
    data: Data,
    indices: np.ndarray | None = None,
    *,
    view: View,
    batch_size: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """float32[N,K] of the rows `indices` of `data` (None: all), in eval mode and in the order given.

    A `view` with augmentation gets one fixed key an example, so the same rows are the same images for every network.
    `progress(done, total)` counts rows. Where the network or the data is on all devices of a mesh, as
    `junlearn.engine.run.place` puts it, each device computes its part of every batch.
    """
    if indices is None:
        indices = np.arange(data.y.shape[0])
    if len(indices) == 0:
        return np.zeros((0, 0), np.float32)
    mesh = _mesh_of([data.y, *jax.tree.leaves(variables)])
    predict = _predictor(model, view, mesh)
    # A power of two: few sizes, so that sets of other sizes hardly ever compile anew.
    size = min(batch_size, 1 << (len(indices) - 1).bit_length())
    feed = feeds.sequential(indices, size + (0 if mesh is None else -size % mesh.size))
    outputs = []
    for number, index in enumerate(feed.index, start=1):
        if mesh is not None:
            index = processes.put(index, NamedSharding(mesh, PartitionSpec("data")))
        outputs.append(predict(variables, data, index))
        if progress is not None:
            jax.block_until_ready(outputs[-1])
            progress(min(number * feed.index.shape[1], len(indices)), len(indices))
    return np.concatenate(jax.device_get(outputs))[: len(indices)]


def embeddings(
    model: Model,
    variables: Variables,
    data: Data,
    indices: np.ndarray,
    *,
    view: View,
    batch_size: int = 512,
) -> np.ndarray:
    """float32[N,D] of the rows `indices` of `data`, in eval mode: `features["embedding"]`, which the head reads, flat.

    Raises KeyError for a network that does not tell it.
    """
    embed = _embedder(model, view)
    feed = feeds.sequential(indices, min(batch_size, 1 << (len(indices) - 1).bit_length()))
    found = [embed(variables, data, index) for index in feed.index]
    return np.concatenate(jax.device_get(found))[: len(indices)]


def _mesh_of(arrays: Iterable[Any]) -> Mesh | None:
    """The mesh, with one axis "data", on all devices of which one of the arrays is as a whole, if there is one."""
    for array in arrays:
        sharding = getattr(array, "sharding", None)
        if isinstance(sharding, NamedSharding) and sharding.is_fully_replicated:
            mesh = sharding.mesh
            if isinstance(mesh, Mesh) and mesh.axis_names == ("data",) and mesh.size > 1:
                return mesh
    return None


def logits_many(
    model: Model,
    variables: Variables,
    data: Data,
    indices: np.ndarray | None = None,
    *,
    view: View,
    batch_size: int = 512,
    how: How = "auto",
    memory: int | None = None,
) -> np.ndarray:
    """float32[S,N,K]: `logits` of S networks, such as those of `Many.variables` (a leading axis [S] on every array).

    "loop": one network after the other; "vmap": as many at a time as `memory` bytes allow (default as in
    `junlearn.many.train_many`), the data not counted; "auto" is the first on a CPU and the second elsewhere.

    Raises ConfigError for data that `junlearn.train` refuses, networks that are none of this model or not side by side,
    and rows that are out of range.
    """
    if how not in get_args(How):
        raise unknown("how", how, get_args(How))
    if not callable(view):
        raise ConfigError(
            f"view is {kind_of(view)}: a function such as PLAIN_VIEWS['eval'] is wanted"
        )
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size!r}: a whole number from 1 on is wanted")
    sources = sources_of(data)
    data = sources["train"]
    shapes = shapes_of(model, sources, {"eval": view})
    count = stack_of(variables, shapes)
    size = data.y.shape[0]
    indices = np.arange(size) if indices is None else rows_of(indices, size, "indices")
    if len(indices) == 0:
        return np.zeros((count, 0, 0), np.float32)
    data = jax.tree.map(jnp.asarray, data)
    if how == "loop" or (how == "auto" and jax.default_backend() == "cpu"):
        outputs = []
        for i in range(count):
            network = jax.tree.map(lambda a: jnp.asarray(a[i]), variables)  # noqa: B023
            outputs.append(logits(model, network, data, indices, view=view, batch_size=batch_size))
        return np.stack(outputs)
    feed = feeds.sequential(indices, min(batch_size, len(indices)))
    predict = _predictors(model, view)

    def part(start: int, size: int) -> Variables:
        """Networks from `start` on; the last one is repeated until there are `size`."""
        places = np.minimum(np.arange(start, start + size), count - 1)
        return jax.tree.map(lambda a: jnp.asarray(a[places]), variables)

    def build(size: int) -> Any:
        shapes = jax.eval_shape(lambda: part(0, size))
        return compiled(predict, shapes, data, feed.index[0])

    one, given = (sum(a.nbytes for a in jax.tree.leaves(tree)) for tree in (variables, data))
    limit = available() if memory is None else memory
    size, program = largest_chunk(build, count, one // count, given, limit)
    outputs = []
    for start in range(0, count, size):
        networks = part(start, size)
        batches = jax.device_get([program(networks, data, index) for index in feed.index])
        outputs.append(np.concatenate(batches, axis=1)[:, : len(indices)])
    return np.concatenate(outputs)[:count]


def evaluate_accuracy(
    model: Model,
    variables: Variables,
    sources: Sources,
    indices: np.ndarray,
    source: str = "train",
    *,
    views: Mapping[str, View],
) -> dict[str, float]:
    """`{"accuracy", "loss"}` of a network on `indices` of a source: what a stage's `until` can ask for."""
    outputs = logits(
        model, variables, sources[source], indices, view=view_of(views, source, "eval")
    )
    found = _judged(outputs, np.asarray(sources[source].y)[indices])
    return {name: float(value) for name, value in jax.device_get(found).items()}


@jitted
def _judged(outputs: Array, labels: Array) -> dict[str, Array]:
    mask = jnp.ones(len(labels), bool)
    return {
        "accuracy": losses.accuracy(outputs, labels, mask),
        "loss": losses.cross_entropy(outputs, labels, mask),
    }
