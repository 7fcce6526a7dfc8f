"""The plan of a method that solves a damped linear system of the size of the network, by passes over data.

A method inherits `Conjugate` or `Solving`, has the state `junlearn.parts.linear_systems.Solve` or one with its fields,
made with `begin`, and puts `stages` into its plan, during which `variables` stay as they are. After them
`state.system.solution` is x. The equations (S1) to (S4) stand in that module.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import DivergedError
from junlearn.fields import BatchSize, Count, Fraction, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import feeds, linear_systems
from junlearn.parts.curvature import Matrix
from junlearn.parts.linear_systems import Penalty, System
from junlearn.parts.recipe import whole_and_rest
from junlearn.parts.trees import zeros
from junlearn.types import Feed, Model, PyTree, Split, Stage

__all__ = ["Conjugate", "Solving", "begin", "stages", "sums"]


@dataclass(frozen=True, kw_only=True)
class Conjugate:
    """Fields of a method that solves (S1) by CG."""

    damping: NonNegative = 0.01
    """Gamma."""
    iterations: Count = 100
    """Most iterations of CG, each a pass over the m examples."""
    tolerance: Fraction = 1e-4
    """CG ends at this residual; 0: it makes all iterations."""
    count: Count | None = None
    """m: retain examples that A is made of, drawn once; None: all of them."""
    batch_size: BatchSize = 100


@dataclass(frozen=True, kw_only=True)
class Solving(Conjugate):
    """Fields of a method that solves (S1) by CG or by LiSSA."""

    solver: Literal["cg", "lissa"] = "cg"
    depth: Count = 10_000
    """Steps of LiSSA in a repeat."""
    repeats: Count = 1
    scale: Positive = 10.0
    """Of (S3)."""


def begin(
    params: PyTree, split: Split, config: Conjugate, *, forget: float = 0.0, retain: float = 0.0
) -> System:
    """Before the first stage; b will be `forget` times the sum of the gradients over D_f and `retain` times D_r's."""
    target, solution, residual, direction, product = (zeros(params) for _ in range(5))
    dtype = jnp.result_type(*jax.tree.leaves(params))
    return System(
        target,
        solution,
        residual,
        direction,
        product,
        seen=jnp.zeros((), jnp.int32),
        rows=jnp.full((), _size(config, split), jnp.int32),
        step=jnp.zeros((), jnp.int32),
        relative=jnp.ones((), dtype),
        least=jnp.full((), jnp.inf, dtype),
        weights=jnp.array([forget, retain], dtype),
    )


def sums(
    config: Conjugate, model: Model, split: Split, sets: Sequence[Literal["forget", "retain"]]
) -> list[Stage]:
    """Passes over all examples of these sets, which make b but for a penalty."""

    def of(name: str) -> Stage:
        rows, place = (split.forget, 0) if name == "forget" else (split.retain, 1)

        def feed(rng: np.random.Generator, state: Any) -> Feed:
            return feeds.sequential(rows, config.batch_size)

        return Stage(f"gradients of the {name} set", linear_systems.gradient(model, place), feed)

    return [of(name) for name in sets]


def stages(
    config: Conjugate,
    model: Model,
    split: Split,
    matrix: Matrix,
    sets: Sequence[Literal["forget", "retain"]],
    *,
    slope: Penalty | None = None,
    bend: Penalty | None = None,
) -> list[Stage]:
    """The sums of the gradients of these sets, (S2) or (S3), and (S4). The gradient of `slope` is added to b, and the
    Hessian of `bend` to A.
    """

    def drawn(state: Any) -> np.ndarray:
        """The same rows in every epoch."""
        if config.count is None:
            return split.retain
        seed = np.asarray(jax.random.key_data(state.key)).tolist()
        return np.random.default_rng(seed).permutation(split.retain)[: config.count]

    def fixed(rng: np.random.Generator, state: Any) -> Feed:
        return feeds.sequential(drawn(state), config.batch_size)

    def fresh(rng: np.random.Generator, state: Any) -> Feed:
        return feeds.shuffled(rng, drawn(state), config.batch_size)

    operator = (model, matrix, config.damping, bend)
    start = Stage("start", linear_systems.start(slope), lambda rng, state: feeds.dataless(1))
    if isinstance(config, Solving) and config.solver == "lissa":
        step = linear_systems.recur(*operator, config.scale, config.depth, config.repeats)
        epoch = -(-_size(config, split) // config.batch_size)
        solve = whole_and_rest("lissa", step, fresh, config.depth * config.repeats, epoch)
    else:
        until = _until(config.tolerance, matrix)
        step = linear_systems.iterate(*operator)
        solve = [Stage("conjugate gradients", step, fixed, config.iterations, until)]
    check = Stage("residual", linear_systems.measure(*operator), fixed)
    return [*sums(config, model, split, sets), start, *solve, check]


def _size(config: Conjugate, split: Split) -> int:
    """How many examples m is."""
    return min(config.count or len(split.retain), len(split.retain))


@remembered
def _until(tolerance: float, matrix: Matrix) -> Callable[[Any, Callable], bool]:
    def until(state: Any, evaluate: Callable[..., dict[str, float]]) -> bool:
        system: System = state.system
        if float(system.least) <= 0:
            hint = ', or matrix = "gauss_newton"' if matrix == "hessian" else ""
            raise DivergedError(
                f"conjugate gradients met p.Ap / p.p = {float(system.least):.3g}: the matrix is not positive definite; "
                f"take a larger damping{hint}"
            )
        return float(system.relative) <= tolerance

    return until
