"""Distances to classes in a metric of their own: shrunk correlations of the features, and their Cholesky factors.

For the moments of a class k, mu_k and Sigma_k of features u (see `junlearn.parts.class_statistics`):

    (1)  S(Sigma) = Sigma + gamma_1 V_1 I + gamma_2 V_2 (1 1^T - I), V_1 and V_2 the means of the diagonal and of the
         entries beside it; S is applied `times` times
    (2)  R_k = S(Sigma_k) / (s s^T),  s = sqrt(diag S(Sigma_k))
         R_k = L_k L_k^T,  W_k = L_k^-1,  b_k = W_k mu_k / |mu_k|
    (3)  d_k(u) = |W_k u / |u| - b_k|^2,  which is the quadratic form of u / |u| - mu_k / |mu_k| with R_k^-1
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular

from junlearn.errors import ConfigError
from junlearn.parts.class_statistics import Moments, named
from junlearn.types import Array

__all__ = [
    "Shrinkage",
    "Whitening",
    "assign",
    "check_whitening",
    "distances",
    "picked",
    "shrink",
    "whiten",
]

JITTER, JITTER_DOUBLINGS = 1e-6, 20
"""Added to the diagonal of a matrix without Cholesky factor: first this, then doubled so often."""
CHUNK = 16
"""Classes at once in `distances` and `whiten`."""
EXACT = lax.Precision.HIGHEST


class Shrinkage(NamedTuple):
    """Equation 1."""

    gamma_1: float = 3.0
    gamma_2: float = 3.0
    times: int = 2
    v2_mask: bool = False
    """V_2 is the mean of the entries that are not 0, instead of all. Where many features are dead this can make the
    matrix indefinite."""


class Whitening(NamedTuple):
    """Equation 2, of the shapes of `Moments`."""

    count: Array  # type: ignore[assignment]  # the name of a tuple method, kept for its meaning
    """float[K]: n_k; 0 where a class is left out, whose distance is infinite."""
    offset: Array
    """float[K,D]: b_k."""
    matrix: Array
    """float[K,D,D]: W_k, lower triangular."""


def shrink(covariance: Array, how: Shrinkage) -> Array:
    """Equation 1 on `covariance[D,D]`, `how.times` times."""
    width = len(covariance)
    beside = ~jnp.eye(width, dtype=bool)
    for _ in range(how.times):
        used = beside & (covariance != 0) if how.v2_mask else beside
        v_1 = jnp.trace(covariance) / width
        v_2 = jnp.where(used, covariance, 0).sum() / jnp.maximum(used.sum(), 1)
        covariance = covariance + jnp.where(beside, how.gamma_2 * v_2, how.gamma_1 * v_1)
    return covariance


def whiten(moments: Moments, how: Shrinkage, removed: Array) -> Whitening:
    """Equations 1 and 2 of all classes with examples that `removed[K]` does not name.

    A class whose matrix has no factor is NaN: see `check_whitening`.
    """
    count = jnp.where(removed, 0, moments.count)

    def one(part: tuple[Array, ...]) -> tuple[Array, Array]:
        n, mean, scatter = part
        identity = jnp.eye(len(mean), dtype=mean.dtype)
        shrunk = shrink(scatter / jnp.maximum(n - 1, 1), how)
        s = jnp.sqrt(jnp.diagonal(shrunk))
        correlation = jnp.where(n > 0, shrunk / jnp.outer(s, s), identity)

        def factor(jitter: Array) -> Array:
            return jnp.linalg.cholesky(correlation + jitter * identity)

        def failed(carry: tuple[Array, Array]) -> Array:
            attempt, lower = carry
            return (attempt <= JITTER_DOUBLINGS) & ~jnp.isfinite(lower).all()

        def again(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            attempt, _ = carry
            return attempt + 1, factor(JITTER * 2.0 ** attempt.astype(mean.dtype))

        start = (jnp.zeros((), jnp.int32), factor(jnp.zeros((), mean.dtype)))
        _, lower = lax.while_loop(failed, again, start)
        matrix = jnp.where(n > 0, solve_triangular(lower, identity, lower=True), 0)
        return matrix, jnp.matmul(matrix, _unit(mean), precision=EXACT)

    matrix, offset = lax.map(
        one, (count, moments.mean, moments.scatter), batch_size=_chunk(len(count))
    )
    return Whitening(count, offset, matrix)


def distances(whitening: Whitening, u: Array) -> Array:
    """Equation 3: `u[B,D] -> [B,K]`, infinite for classes that are left out.

    It goes over chunks of classes, and the backward pass repeats it: memory is B times CHUNK times D numbers.
    """
    direction = _unit(u)
    classes, width = whitening.offset.shape
    chunk = _chunk(classes)

    @jax.checkpoint
    def some(part: tuple[Array, Array]) -> Array:
        matrix, offset = part
        gap = jnp.einsum("cde,be->bcd", matrix, direction, precision=EXACT) - offset[None]
        return jnp.square(gap).sum(-1)

    parts = lax.map(
        some,
        (
            whitening.matrix.reshape(-1, chunk, width, width),
            whitening.offset.reshape(-1, chunk, width),
        ),
    )
    values = parts.swapaxes(0, 1).reshape(len(u), classes)
    return jnp.where(whitening.count[None] > 0, values, jnp.inf)


def assign(distances: Array, labels: Array) -> Array:
    """int32[B]: the nearest class of each row of `distances[B,K]` that is not its own, `labels[B]`."""
    own = labels[:, None] == jnp.arange(distances.shape[1])[None]
    return jnp.where(own, jnp.inf, distances).argmin(1).astype(jnp.int32)


def picked(distances: Array, targets: Array) -> Array:
    """float[B]: of each row of `distances[B,K]` the entry `targets[B]`."""
    return jnp.take_along_axis(distances, targets[:, None], axis=1)[:, 0]


def check_whitening(whitening: Whitening) -> None:
    """Raises ConfigError where a class has no distance, or no class has one."""
    bad = ~np.isfinite(np.asarray(whitening.offset)).all(1)
    if bad.any():
        raise ConfigError(
            f"the covariance of {named(np.flatnonzero(bad).tolist())} is degenerate after shrinkage; "
            "take larger gamma_1, with v2_mask=False"
        )
    if not np.asarray(whitening.count).any():
        raise ConfigError("there are no examples of any class that stays")


def _unit(x: Array) -> Array:
    """Rows of `x[...,D]` scaled to norm 1; a zero row stays zero, and has a finite derivative."""
    return x / jnp.sqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))


def _chunk(classes: int) -> int:
    """The largest divisor of `classes` up to CHUNK: equal chunks, and none of them padded."""
    return max(size for size in range(1, CHUNK + 1) if classes % size == 0)
