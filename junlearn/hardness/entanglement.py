"""Entanglement: how far examples are from the middle in a network's embedding, and how mixed two sets of them are.

h is the embedding of an example (what the head reads) in eval mode, m_R and m_F the means of two sets of examples.

    (1)  d_i = |h_i - mean of h over all training examples|
    (2)  ES  = [ mean_R |h - m_R|^2 + mean_F |h - m_F|^2 ] / [ (|m_R - m|^2 + |m_F - m|^2) / 2 ],   m = (m_R + m_F) / 2

A high ES: each set is wide, and their middles are near each other.

Not copied: the release takes m_R and m_F as means of the means of batches, in which a short last batch weighs too much.
`score` with a `batch_size` does the same, to compare with its numbers.

Zhao et al.: What makes unlearning hard and what to do about it (2406.01257).
"""

import math
from typing import Any

import jax
import numpy as np

from junlearn.compiler import jitted
from junlearn.memo import remembered
from junlearn.parts import feeds
from junlearn.parts.passes import embedding_of
from junlearn.types import Array, Data, Model, Sources, Variables, View

__all__ = ["between", "distances", "embeddings", "score"]


def embeddings(
    model: Model, variables: Variables, sources: Sources, *, view: View, batch_size: int = 512
) -> np.ndarray:
    """float64[N,D]: h of every training example. Raises ConfigError where the network has no embedding."""
    embedding_of(model, variables, sources, "entanglement")
    data = jax.tree.map(jax.numpy.asarray, sources["train"])
    size = data.y.shape[0]
    feed = feeds.sequential(np.arange(size), min(batch_size, size))
    embed = _embedder(model, view)
    found = jax.device_get([embed(variables, data, index) for index in feed.index])
    return np.concatenate(found)[:size].astype(np.float64)


@remembered
def _embedder(model: Model, view: View) -> Any:
    @jitted
    def embed(variables: Variables, data: Data, index: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(0), index)
        return model.apply(variables, view(data.take(index), keys))[1]["embedding"]

    return embed


def distances(embedded: np.ndarray) -> np.ndarray:
    """Equation 1, float64[N], of `embedded[N,D]`."""
    return np.linalg.norm(embedded - embedded.mean(0), axis=1)


def score(retain: np.ndarray, forget: np.ndarray, batch_size: int | None = None) -> float:
    """Equation 2 of the embeddings of two sets, `[R,D]` and `[F,D]`; infinite where their means are the same.

    `batch_size`: the means of the release, over the means of batches of so many rows.
    """
    apart = between(retain, forget, batch_size)
    within = sum(
        float(((part - _mean(part, batch_size)) ** 2).sum(1).mean()) for part in (retain, forget)
    )
    return within / apart if apart else math.inf


def between(retain: np.ndarray, forget: np.ndarray, batch_size: int | None = None) -> float:
    """The denominator of equation 2."""
    means = [_mean(part, batch_size) for part in (retain, forget)]
    middle = (means[0] + means[1]) / 2
    return sum(float(((mean - middle) ** 2).sum()) for mean in means) / 2


def _mean(part: np.ndarray, batch_size: int | None) -> np.ndarray:
    step = len(part) if batch_size is None else batch_size
    return np.mean([part[i : i + step].mean(0) for i in range(0, len(part), step)], axis=0)
