"""Losses that methods share: pure functions of logits that take a mask."""

from typing import Literal

import chex
import jax
import jax.numpy as jnp
import optax

from junlearn.types import Array

__all__ = [
    "accuracy",
    "attention_gap",
    "attention_map",
    "cosine_distances",
    "cross_entropy",
    "divergence",
    "entropy",
    "logit_distance",
    "margin_entropy",
    "masked_mean",
    "paired_cosine_distances",
]

NORM_FLOOR = 1e-12
"""Added to squared norms."""


def masked_mean(values: Array, mask: Array) -> Array:
    """Mean of `values[B]` over the rows where `mask[B]` is True; 0 if there are none."""
    return jnp.where(mask, values, 0).sum() / jnp.maximum(mask.sum(), 1)


def cosine_distances(features: Array, others: Array) -> Array:
    """1 - cos of every row of `features[B,D]` with every row of `others[C,D]`: [B,C]; 1 where a row is zero."""

    def unit(rows: Array) -> Array:
        squares = jnp.square(rows).sum(axis=1, keepdims=True)
        return rows * jnp.where(squares > 0, jax.lax.rsqrt(jnp.where(squares > 0, squares, 1)), 0)

    return 1 - unit(features) @ unit(others).T


def paired_cosine_distances(u: Array, w: Array) -> Array:
    """1 - cos of each row of `u[B,E]` with that row of `w[B,E]`: [B]; 1, and without a slope, where one is zero."""
    chex.assert_equal_shape([u, w])
    squares = [jnp.square(v).sum(axis=1) + NORM_FLOOR for v in (u, w)]
    return 1 - (u * w).sum(axis=1) / jnp.sqrt(squares[0] * squares[1])


def cross_entropy(logits: Array, labels: Array, mask: Array, smoothing: float = 0.0) -> Array:
    """Mean cross entropy of `logits[B,K]` against integer `labels[B]`, in nats.

    With label `smoothing` s the target is 1 - s + s / K at the label and s / K elsewhere.
    """
    _check(logits, labels, mask)
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    if smoothing:
        uniform = -jax.nn.log_softmax(logits).mean(axis=1)
        losses = (1 - smoothing) * losses + smoothing * uniform
    return masked_mean(losses, mask)


def margin_entropy(logits: Array, labels: Array) -> Array:
    """Cross entropy [B] of `logits[B,K]`, in the form  log(1 + exp(logsumexp_{k != y} z_k - z_y)).

    Its gradient keeps its digits where the probability of the label is close to 1; that of the other form, p - 1 there,
    does not in float32.
    """
    own = labels[:, None] == jnp.arange(logits.shape[1])[None, :]
    others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=1)
    return jax.nn.softplus(others - jnp.where(own, logits, 0).sum(axis=1))


def divergence(log_target: Array, log_output: Array, mask: Array) -> Array:
    """Mean over the rows with `mask[B]` of KL(target || output) in nats; both are log-probabilities [B,K].

    The target may have entries of probability 0 (`-inf`). No gradient is stopped: stop that of a teacher yourself.
    """
    _check(log_target, mask, mask)
    chex.assert_equal_shape([log_target, log_output])
    target = jnp.exp(log_target)
    terms = jnp.where(target > 0, target * (log_target - log_output), 0.0)
    return masked_mean(terms.sum(axis=-1), mask)


def logit_distance(
    logits: Array,
    targets: Array,
    mask: Array,
    kind: Literal["squared_error", "cross_entropy"],
) -> Array:
    """Mean over the rows in `mask` of a distance of `logits[B,K]` from the logits `targets[B,K]`.

    "squared_error" is a mean over the classes, "cross_entropy" is that of the probabilities of both.
    """
    if kind == "squared_error":
        return masked_mean(jnp.square(logits - targets).mean(axis=1), mask)
    return masked_mean(-(jax.nn.softmax(targets) * jax.nn.log_softmax(logits)).sum(axis=1), mask)


def entropy(logits: Array) -> Array:
    """H [B] of the probabilities of `logits[B,K]`, in nats."""
    log_p = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_p) * log_p).sum(axis=-1)


def accuracy(logits: Array, labels: Array, mask: Array) -> Array:
    """Share of the rows of `logits[B,K]` whose largest entry is the label, in [0, 1]."""
    _check(logits, labels, mask)
    return masked_mean((jnp.argmax(logits, axis=-1) == labels).astype(logits.dtype), mask)


def attention_map(features: Array) -> Array:
    """Spatial attention: `[B,H,W,C] -> [B,HW]`, the mean over the channels of the squares, scaled to norm 1 a row."""
    q = jnp.square(features).mean(axis=-1).reshape(len(features), -1)
    total = jnp.square(q).sum(axis=1, keepdims=True)
    return q * jnp.where(total > 0, jax.lax.rsqrt(jnp.where(total > 0, total, 1)), 0)


def attention_gap(features: Array, other: Array, mask: Array) -> Array:
    """Mean squared difference of two spatial attentions, over the rows with `mask[B]` and all positions."""
    gaps = jnp.square(attention_map(features) - attention_map(other))
    return masked_mean(gaps.mean(axis=1), mask)


def _check(logits: Array, labels: Array, mask: Array) -> None:
    """Shapes, when the caller is traced: broadcasting would hide a mistake in them."""
    chex.assert_rank([logits, labels, mask], [2, 1, 1])
    chex.assert_equal_shape_prefix([logits, labels, mask], 1)
