"""A damped linear system of the size of the network on its way to its solution: state, and steps of both solvers.

    (S1)  (A + gamma I) x = b,   A = (1/m) sum_i A_i  over m fixed retain examples, + a penalty's Hessian
    (S2)  CG from x = 0, r = p = b:   a = r.r / p.Ap;  x += a p;  r' = r - a Ap;  p = r' + (r'.r' / r.r) p
    (S3)  LiSSA, from c = b:   c <- b + c - (A_batch c + gamma c) / scale;   x = the mean over the repeats of c / scale
    (S4)  after either, in a pass of its own:   residual = |b - (A + gamma I) x| / |b|

The A_i are the matrices of `junlearn.parts.curvature` at the weights of the state, b is a sum of gradients. An
iteration of CG is an epoch: every step adds the product of a batch and the last one makes the update, so that A is the
same operator throughout. A step of LiSSA takes a random batch. It converges only where all eigenvalues of
(A_batch + gamma I) / scale lie in (0, 2), and slowly where they are near 0.

The CG of `jax.scipy.sparse.linalg` wants the whole operator in a program, where no batches come in from outside, and
does not tell p.Ap, without which nobody sees that A + gamma I is not positive definite and CG means nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from junlearn.memo import remembered
from junlearn.parts import curvature
from junlearn.parts.curvature import Matrix
from junlearn.types import Array, Batch, Key, Metrics, Model, PyTree, Variables

__all__ = [
    "Penalty",
    "Solve",
    "Step",
    "System",
    "gradient",
    "iterate",
    "measure",
    "recur",
    "squares",
    "start",
]

Penalty = Callable[[PyTree], Array]
"""`params -> []`: a function that is added to the loss."""


class System(NamedTuple):
    """(S1) on its way."""

    target: PyTree
    """b."""
    solution: PyTree
    """x."""
    residual: PyTree
    """b - (A + gamma I) x."""
    direction: PyTree
    """p of CG, c of LiSSA."""
    product: PyTree
    """The sum of the products of the batches of this pass, so far."""
    seen: Array
    """int32[]: the examples in `product`."""
    rows: Array
    """int32[]: m."""
    step: Array
    """int32[]: steps of LiSSA."""
    relative: Array
    """|residual| / |b|; 0 where b is 0."""
    least: Array
    """The least p.Ap / p.p of all iterations of CG."""
    weights: Array
    """[2]: what the gradient of a forget and of a retain example counts in b."""


class Solve(NamedTuple):
    """The state of a method that solves a system; the steps want these fields, and leave all but `system` alone."""

    variables: Variables
    system: System
    key: Key


Step = Callable[..., tuple]
"""`(state, batch) -> (state, metrics)`."""


@remembered
def squares(weight: float) -> Penalty | None:
    """weight/2 |theta|^2; None where the weight is 0."""
    return (lambda params: weight / 2 * optax.tree.norm(params, squared=True)) if weight else None


@remembered
def gradient(model: Model, place: int) -> Step:
    """A step that adds the gradients of a batch to b, by `System.weights[place]`."""

    def step(state: Solve, batch: Batch) -> tuple[Solve, Metrics]:
        system: System = state.system
        more = curvature.gradient(model, state.variables, batch)
        target = _plus(system.target, system.weights[place], more)
        return state._replace(system=system._replace(target=target)), {}

    return step


@remembered
def start(slope: Penalty | None) -> Step:
    """A step without data, between b and the solvers: adds the gradient of `slope` to b, and goes to x = 0."""

    def step(state: Solve, batch: Batch) -> tuple[Solve, Metrics]:
        system: System = state.system
        b = system.target
        if slope is not None:
            b = _plus(b, 1, jax.grad(slope)(state.variables.params))
        return state._replace(system=system._replace(target=b, residual=b, direction=b)), {}

    return step


@remembered
def iterate(model: Model, matrix: Matrix, damping: float, bend: Penalty | None) -> Step:
    """A step of (S2), whose iteration is a pass over the m examples."""
    return _pass(model, matrix, damping, bend, lambda system: system.direction, _advance)


@remembered
def measure(model: Model, matrix: Matrix, damping: float, bend: Penalty | None) -> Step:
    """A step of (S4)."""

    def checked(system: System, image: PyTree) -> System:
        return system._replace(residual=_plus(system.target, -1, image))

    return _pass(model, matrix, damping, bend, lambda system: system.solution, checked)


def _pass(
    model: Model,
    matrix: Matrix,
    damping: float,
    bend: Penalty | None,
    vector: Callable[[System], PyTree],
    update: Callable[[System, PyTree], System],
) -> Step:
    """A step of a pass that multiplies `vector(system)`; the last one makes `update(system, product)`."""

    def step(state: Solve, batch: Batch) -> tuple[Solve, Metrics]:
        system: System = state.system
        more = curvature.product(model, state.variables, batch, vector(system), matrix)
        system = system._replace(
            product=_plus(system.product, 1, more),
            seen=system.seen + batch.mask.sum(dtype=jnp.int32),
        )

        def ended(system: System) -> System:
            mean = jax.tree.map(lambda leaf: leaf / system.rows, system.product)
            image = _damped(mean, vector(system), state.variables.params, damping, bend)
            system = update(system, image)
            length = optax.tree.norm(system.target)
            relative = optax.tree.norm(system.residual) / jnp.where(length > 0, length, 1)
            return system._replace(
                product=jax.tree.map(jnp.zeros_like, system.product),
                seen=jnp.zeros_like(system.seen),
                relative=relative.astype(system.relative.dtype),
            )

        system = jax.lax.cond(system.seen == system.rows, ended, lambda system: system, system)
        return state._replace(system=system), {"residual": system.relative}

    return step


def _advance(system: System, image: PyTree) -> System:
    """(S2), with A p; nothing moves where r is 0 or p.Ap is not positive."""
    p, r = system.direction, system.residual
    steep, before = optax.tree.vdot(p, image), optax.tree.vdot(r, r)
    moves = (steep > 0) & (before > 0)
    a = jnp.where(moves, before / jnp.where(moves, steep, 1), 0)
    r = _plus(r, -a, image)
    turn = jnp.where(moves, optax.tree.vdot(r, r) / jnp.where(moves, before, 1), 0)
    length = optax.tree.vdot(p, p)
    now = jnp.where(before > 0, steep / jnp.where(length > 0, length, 1), system.least)
    return system._replace(
        solution=_plus(system.solution, a, p),
        residual=r,
        direction=_plus(r, turn, p),
        least=jnp.minimum(system.least, now).astype(system.least.dtype),
    )


@remembered
def recur(
    model: Model,
    matrix: Matrix,
    damping: float,
    bend: Penalty | None,
    scale: float,
    depth: int,
    repeats: int,
) -> Step:
    """A step of (S3)."""

    def step(state: Solve, batch: Batch) -> tuple[Solve, Metrics]:
        system: System = state.system
        first = system.step % depth == 0
        c = jax.tree.map(lambda b, c: jnp.where(first, b, c), system.target, system.direction)
        total = curvature.product(model, state.variables, batch, c, matrix)
        mean = jax.tree.map(lambda leaf: leaf / jnp.maximum(batch.mask.sum(), 1), total)
        image = _damped(mean, c, state.variables.params, damping, bend)
        c = _plus(_plus(c, 1, system.target), -1 / scale, image)
        last = (system.step + 1) % depth == 0
        part = jnp.where(last, 1 / (scale * repeats), 0)
        system = system._replace(
            direction=c, solution=_plus(system.solution, part, c), step=system.step + 1
        )
        return state._replace(system=system), {"norm": optax.tree.norm(c)}

    return step


def _damped(
    image: PyTree, vector: PyTree, params: PyTree, damping: float, bend: Penalty | None
) -> PyTree:
    """The product with the matrix, and what gamma and the penalty add to it."""
    image = _plus(image, damping, vector)
    if bend is None:
        return image
    return _plus(image, 1, jax.jvp(jax.grad(bend), (params,), (vector,))[1])


def _plus(tree: PyTree, factor: float | Array, other: PyTree) -> PyTree:
    """The sum of a tree and `factor` times another one, in the types of the first."""
    return jax.tree.map(lambda a, b: a + jnp.asarray(factor, a.dtype) * b, tree, other)
