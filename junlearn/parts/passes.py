"""What steps do with a network's outputs: passes one after the other, a table over an epoch, and their shapes."""

from collections.abc import Collection, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.types import Array, Batch, Key, Model, PyTree, Sources, Variables

__all__ = ["along_rows", "apply_each", "classes_of", "embedding_of", "marks", "scatter_rows"]


def along_rows(values: Array, x: Array) -> Array:
    """`values[B]`, a mask or weights of rows, in the shape [B,1,...] that broadcasts over `x[B,...]`."""
    return values.reshape(-1, *(1,) * (x.ndim - 1))


def apply_each(
    model: Model, variables: Variables, batches: Sequence[Batch], key: Key
) -> tuple[list[tuple[Array, Array]], PyTree]:
    """Logits [B,K] and embeddings of every batch, each normalised by its own statistics, and the running ones after
    the last.
    """
    outputs, stats = [], variables.stats
    for batch, own in zip(batches, jax.random.split(key, len(batches)), strict=True):
        now = variables._replace(stats=stats)
        logits, features, stats = model.apply(now, batch.x, train=True, key=own, mask=batch.mask)
        outputs.append((logits, features["embedding"]))
    return outputs, stats


def scatter_rows(table: Array, rows: Array, mask: Array, values: Array) -> Array:
    """`table[N,...]` with `values[B,...]` in `rows[B]`, but for those outside the mask."""
    return table.at[jnp.where(mask, rows, len(table))].set(values, mode="drop")


def marks(rows: Collection[int], count: int) -> Array:
    """bool[count]: which of 0, 1, ... are among `rows`, classes or examples. In NumPy: no program pays for it."""
    return jnp.asarray(np.isin(np.arange(count), [*rows]))


def classes_of(model: Model, variables: Variables, x: Array) -> int:
    """K, from images `x[B,H,W,C]`: `Model.num_classes` for a step, which sees a batch and no `Sources`."""
    return jax.eval_shape(model.apply, variables, x)[0].shape[-1]


def embedding_of(
    model: Model, variables: Variables, sources: Sources, method: str
) -> jax.ShapeDtypeStruct:
    """Shape [1,D] and dtype of the embedding; `method` is who asks.

    Raises ConfigError where it is not known, or where the head reads a map and not a vector.
    """
    _, features, _ = jax.eval_shape(model.apply, variables, model.example(sources))
    if "embedding" not in features:
        raise ConfigError(
            f"{method} reads the embedding: name the network's layers, input to output"
        )
    embedding = features["embedding"]
    if embedding.ndim != 2:
        raise ConfigError(f"{method} needs a head that reads a vector, not {embedding.shape[1:]}")
    return embedding
