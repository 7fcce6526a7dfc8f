"""Influence: the weights that the minimum would move to without the forget set, to first order.

Setting: forget and retain images and labels; with objective="retain" retain images and labels alone.

    (1)  H = (1/m) sum over m examples of D_r of the Hessian of the cross entropy, or of its Gauss-Newton part,
         + weight_decay I
    (2)  objective="removal":   theta = theta0 + (H + gamma I)^-1 (1/n_r) sum_{D_f} (grad CE + weight_decay theta0)
    (3)  objective="retain":    theta = theta0 - (H + gamma I)^-1 (mean_{D_r} grad CE + weight_decay theta0)
         one Newton step on the loss without D_f

At a minimum of the loss on D, weight decay included, (2) and (3) are the same; elsewhere (3) is also a step of
training. All derivatives are taken in eval mode. Conjugate gradients or LiSSA solve the system, in memory for a few
copies of the network (`junlearn.parts.linear_systems`). |b - (H + gamma I) x| / |b| of what they have found is reported
as `influence/residual`; where it is not small the step is not that of the equations.

The loss of a network is not convex: H has negative eigenvalues, CG on it is then not valid, and it ends with an error
where it meets one. matrix="gauss_newton" is positive semidefinite; with matrix="hessian" gamma must be larger than
minus the least eigenvalue.

Defaults (iterations, depth, repeats, scale and batch size of the release; it has gamma = 0 and the Hessian, which gives
no solution on most networks. Gamma is that of certified Newton; matrix, tolerance and objective are ours):

    damping       0.01
    iterations    100
    tolerance     0.0001
    count         None
    batch_size    100
    solver        "cg"
    depth         10000
    repeats       1
    scale         10.0
    matrix        "gauss_newton"
    objective     "removal"
    weight_decay  0.0

Deviation: LiSSA's damping of the release, d, multiplies the recursion, so that it solves with d scale I; here both
solvers add gamma I, which is d = gamma / scale.

Reference: Koh, Liang, ICML 2017 (arXiv 1703.04730); LiSSA: Agarwal, Bullins, Hazan, JMLR 2017 (arXiv 1602.03943).
"""

from dataclasses import dataclass
from typing import Literal

import jax

from junlearn.fields import NonNegative
from junlearn.parts import solves
from junlearn.parts.linear_systems import Solve, squares
from junlearn.parts.solves import Solving
from junlearn.types import Array, Key, Method, Model, Range, Sources, Space, Split, Stage, Variables

__all__ = ["NEEDS", "SPACE", "Config", "State", "make", "needs"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
"""With objective="removal"."""
State = Solve


@dataclass(frozen=True, kw_only=True)
class Config(Solving):
    """Hyper-parameters of influence."""

    matrix: Literal["gauss_newton", "hessian"] = "gauss_newton"
    objective: Literal["removal", "retain"] = "removal"
    """Equation 2 or 3."""
    weight_decay: NonNegative = 0.0
    """Of the original's training."""


SPACE: Space = {"damping": Range(1e-4, 10.0, log=True)}


def needs(config: Config) -> frozenset[str]:
    """Equation 3 reads no forget data."""
    return NEEDS if config.objective == "removal" else frozenset({"retain.x", "retain.y"})


def make(config: Config, model: Model) -> Method:
    """A sum of gradients, and a system of which it is the right side."""
    removal = config.objective == "removal"
    decay = squares(config.weight_decay)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        weight = {"forget" if removal else "retain": 1 / len(split.retain)}
        return Solve(variables, solves.begin(variables.params, split, config, **weight), key)

    def plan(split: Split) -> list[Stage]:
        share = len(split.forget) / len(split.retain) if removal else 1.0
        slope = squares(config.weight_decay * share)
        sets: tuple[Literal["forget", "retain"], ...] = ("forget",) if removal else ("retain",)
        return solves.stages(config, model, split, config.matrix, sets, slope=slope, bend=decay)

    def finish(state: State) -> Variables:
        sign = 1 if removal else -1
        params = jax.tree.map(
            lambda w, x: w + sign * x, state.variables.params, state.system.solution
        )
        return state.variables._replace(params=params)

    def report(state: State) -> dict[str, Array]:
        return {"influence/residual": state.system.relative}

    return Method(init, plan, finish, report=report)
