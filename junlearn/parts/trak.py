"""TRAK: what a training example does to an output, from projected gradients and one matrix of their size.

For outputs f(x)[M] of a network, such as its logits or the margin of the label, and P random directions [P,p]:

    (K1)  phi(x) = (d f(x) / d theta) P                                   [M,p], in eval mode, one jvp a direction
    (K2)  tau_i(x) = phi(x) . (Phi^T Phi + lambda I)^-1 phi_i q_i         an output by itself; Phi (n,p): all phi_i

q_i is how much the loss of i falls with its own output: 1 - p_y for the margin, onehot_k - p_k for logit k. tau_i(x) is
then, to first order, how much the output of x falls when i is removed. Directions are drawn when they are needed, so
that the memory is that of one of them.

For the sum over a set F of examples no table of pairs is needed: `Evidence` adds up Phi^T Phi and the phi_i q_i of F.

Deviation: the release divides the inverse by the mean absolute value of its entries, which leaves scores right up to an
unknown factor; and its lambda is 0 by default.

Reference: Park, Georgiev, Ilyas, Leclerc, Madry, ICML 2023 (arXiv 2303.14186).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from junlearn.parts.losses import margin_entropy
from junlearn.types import Array, Key, PyTree

__all__ = [
    "Evidence",
    "along",
    "empty",
    "factors",
    "features",
    "margin",
    "observe",
    "pull",
    "random_direction",
    "scores",
]


def margin(logits: Array, labels: Array) -> tuple[Array, Array]:
    """z_y - logsumexp_{k != y} z_k [B] of `logits[B,K]`, and the q of it."""
    own = labels[:, None] == jnp.arange(logits.shape[1])[None, :]
    others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=1)
    value = jnp.where(own, logits, 0).sum(axis=1) - others
    return value, -jnp.expm1(-margin_entropy(logits, labels))


def random_direction(key: Key, params: PyTree, number: Array, count: int) -> PyTree:
    """Column `number` of P: a tree like `params`, normal with variance 1/p: phi.phi' is about that of the gradients."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.fold_in(key, number), len(leaves))
    drawn = [
        jax.random.normal(own, (leaf.size,), leaf.dtype).reshape(leaf.shape) / float(count) ** 0.5
        for own, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def along(outputs: Callable[[PyTree], Array], params: PyTree, direction: PyTree) -> Array:
    """The derivative of `outputs(params)` along a direction."""
    return jax.jvp(outputs, (params,), (direction,))[1]


def features(
    outputs: Callable[[PyTree], Array],
    params: PyTree,
    direction: Callable[[Array], PyTree],
    count: int,
) -> Array:
    """(K1) of `outputs(params)[B,M]` for `count` directions: [B,M,p]."""
    columns = jax.lax.map(
        lambda number: along(outputs, params, direction(number)), jnp.arange(count)
    )
    return jnp.moveaxis(columns, 0, -1)


def scores(phi: Array, query: Array, q: Array, ridge: float = 0.0) -> Array:
    """(K2) of one output, from `phi[n,p]` with `q[n]` of the training examples and `query[m,p]`: [n,m]."""
    with jax.default_matmul_precision("highest"):
        gram = phi.T @ phi + ridge * jnp.eye(phi.shape[1], dtype=phi.dtype)
        return (phi @ jnp.linalg.solve(gram, query.T)) * q[:, None]


class Evidence(NamedTuple):
    """The sums of (K2) over the examples seen."""

    gram: Array
    """[M,p,p]: Phi^T Phi of each output."""
    moment: Array
    """[M,p]: the sum over F of phi_i q_i."""
    seen: Array
    """int32[]: n."""


def empty(outputs: int, count: int, dtype: jnp.dtype) -> Evidence:
    """No example seen, of as many outputs and directions."""
    return Evidence(
        jnp.zeros((outputs, count, count), dtype),
        jnp.zeros((outputs, count), dtype),
        jnp.zeros((), jnp.int32),
    )


def observe(evidence: Evidence, phi: Array, q: Array, mask: Array) -> Evidence:
    """`evidence` with the rows of `phi[B,M,p]` in the mask; `q[B,M]` is 0 for examples outside of F."""
    phi = jnp.where(mask[:, None, None], phi, 0)
    q = jnp.where(mask[:, None], q, 0)
    with jax.default_matmul_precision("highest"):
        gram = jnp.einsum("bmp,bmr->mpr", phi, phi)
        moment = jnp.einsum("bmp,bm->mp", phi, q)
    return Evidence(
        evidence.gram + gram,
        evidence.moment + moment,
        evidence.seen + mask.sum(dtype=jnp.int32),
    )


def factors(evidence: Evidence, damping: float) -> Array:
    """(Phi^T Phi + lambda I)^-1 sum_{i in F} phi_i q_i of each output, lambda = n damping: [M,p]."""
    n = jnp.maximum(evidence.seen, 1)
    eye = jnp.eye(evidence.gram.shape[-1], dtype=evidence.gram.dtype)
    with jax.default_matmul_precision("highest"):
        system = evidence.gram / n + damping * eye[None]
        return jnp.linalg.solve(system, (evidence.moment / n)[..., None])[..., 0]


def pull(
    outputs: Callable[[PyTree], Array],
    params: PyTree,
    direction: Callable[[Array], PyTree],
    weights: Array,
) -> Array:
    """sum_{i in F} tau_i of `outputs(params)[B,M]`, with `factors` for weights[M,p]: [B,M].

    The directions are added up first, so that M jvps are enough.
    """

    def add(total: PyTree, column: tuple[Array, Array]) -> tuple[PyTree, None]:
        number, own = column
        drawn = direction(number)
        more = jax.tree.map(lambda t, d: t + jnp.tensordot(own.astype(d.dtype), d, 0), total, drawn)
        return more, None

    start = jax.tree.map(lambda leaf: jnp.zeros((len(weights), *leaf.shape), leaf.dtype), params)
    numbers = jnp.arange(weights.shape[1])
    combined, _ = jax.lax.scan(add, start, (numbers, weights.T))
    changes = jax.lax.map(lambda way: along(outputs, params, way), combined)
    return jnp.diagonal(changes, axis1=0, axis2=2)
