"""What steps do with the outputs of several batches: passes one after the other, and a table over an epoch."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from junlearn.types import Array, Batch, Key, Model, PyTree, Variables

__all__ = ["apart", "written"]


def apart(
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


def written(table: Array, rows: Array, mask: Array, values: Array) -> Array:
    """`table[N,...]` with `values[B,...]` in `rows[B]`, but for those outside the mask."""
    return table.at[jnp.where(mask, rows, len(table))].set(values, mode="drop")
