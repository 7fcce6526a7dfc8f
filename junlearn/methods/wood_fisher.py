"""IU, influence unlearning with WoodFisher: a step against the forget set through the inverse of the Fisher matrix.

Setting: forget and retain images and labels.

    (1)  v = (1/n) sum_{D_f} g_i - n_f / (n n_r) sum_{D_r} g_i  =  (n_f / n) (mean_{D_f} g - mean_{D_r} g)
    (2)  theta = theta0 + alpha C v,   C = (gamma I + (1/m) sum_{j <= m} g_j g_j^T)^-1

The g_i are the gradients of the cross entropy of single examples, in eval mode; n_f, n_r and n count D_f, D_r and D,
and the m examples of (2) are drawn from D_r. Where theta0 minimises the loss on D, alpha = 1 is to first order the step
to the minimum on D_r. (2) is solved by conjugate gradients on products with the matrix, a pass over the m examples an
iteration (`junlearn.parts.linear_systems`). They search the same spaces as those on the m x m matrix gamma m I + G G^T
do, in one pass in the place of two; neither holds the gradients G. The residual is reported as `wood_fisher/residual`.

Defaults (gamma, m and N of the release; alpha = 1 is the exact step; iterations, tolerance and batch size are ours):

    damping     1.0
    iterations  100
    tolerance   0.0001
    count       1000
    batch_size  100
    alpha       1.0
    curvature   "fisher"

Damping is a hyper-parameter like alpha: search both. Where gamma is far above the eigenvalues of the Fisher matrix, (2)
is no more than a step of alpha / gamma along v.

As released (curvature="released", preset `wood_fisher_released`), with one gradient after the other in stored order:

    (3)  o = g_1,  k = v;   for g_2, g_3 .. g_{m+2}, as far as there are:   t = o.g;  k <- k - (k.g) / (m + t) o;
         o <- o - t / (m + t) o;        theta = theta0 + alpha k

Defect: o never changes but in length, so that k is v minus a multiple of the gradient of the first retain example. No
curvature is in it, and damping has no place: tables that list IU with this code show one ascent step of alpha n_f / n,
for which alpha from 0.2 to 100 is given. The preset is for comparison with them alone. The release also takes m for
the number of gradients where there are fewer, and its branch for ImageNet takes them from D_f; the latter is left out.

Reference: Izzo, Smart, Chaudhuri, Zou, AISTATS 2021 (arXiv 2002.10077) and Singh, Alistarh, NeurIPS 2020 (arXiv
2004.14340), as joined by Jia et al., NeurIPS 2023 (arXiv 2304.04934).
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import Count, NonNegative, Positive
from junlearn.parts import curvature, feeds, solves
from junlearn.parts.linear_systems import Solve
from junlearn.parts.solves import Conjugate
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    Preset,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Solve


@dataclass(frozen=True, kw_only=True)
class Config(Conjugate):
    """Hyper-parameters of WoodFisher unlearning."""

    damping: Positive = 1.0
    """Gamma."""
    count: Count = 1000
    """m."""
    alpha: NonNegative = 1.0
    curvature: Literal["fisher", "released"] = "fisher"
    """Equation 2 or 3."""


SPACE: Space = {"damping": Range(1e-3, 10.0, log=True), "alpha": Range(0.1, 100.0, log=True)}

PRESETS = {
    "wood_fisher_released": Preset(
        "IU as its code does it: an ascent step, without any curvature",
        {"curvature": "released", "alpha": 0.2},
        # Which has no damping; the alpha that tables give.
        {"alpha": Range(0.2, 100.0, log=True)},
    ),
}


def make(config: Config, model: Model) -> Method:
    """The sum of gradients of equation 1, then equation 2 or 3."""
    released = config.curvature == "released"

    def begin(state: State, batch: Batch) -> tuple[State, Metrics]:
        return state._replace(system=state.system._replace(solution=state.system.target)), {}

    def recursion(state: State, batch: Batch) -> tuple[State, Metrics]:
        def one(carry: tuple[PyTree, PyTree, Array], row: Batch) -> tuple[tuple, None]:
            o, k, seen = carry
            single = jax.tree.map(lambda leaf: leaf[None], row)
            g = curvature.gradient(model, state.variables, single)
            # Before the first row o is 0, so that k stays what it is; rows outside of the mask have g = 0.
            t, along = optax.tree.vdot(o, g), optax.tree.vdot(k, g)
            k = jax.tree.map(lambda k, o: k - along / (config.count + t) * o, k, o)
            shrunk = 1 - t / (config.count + t)
            o = jax.tree.map(lambda o, g: jnp.where(seen == 0, g, shrunk * o), o, g)
            return (o, k, seen + row.mask), None

        system = state.system
        now = (system.direction, system.solution, system.seen)
        (o, k, seen), _ = jax.lax.scan(one, now, batch)
        return state._replace(system=system._replace(direction=o, solution=k, seen=seen)), {}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        forgotten, retained = len(split.forget), len(split.retain)
        forget, retain = 1 / (forgotten + retained), 1 / retained - 1 / (forgotten + retained)
        system = solves.begin(variables.params, split, config, forget=forget, retain=-retain)
        return Solve(variables, system, key)

    def plan(split: Split) -> list[Stage]:
        sets: tuple[Literal["forget", "retain"], ...] = ("forget", "retain")
        if not released:
            return solves.stages(config, model, split, "fisher", sets)

        def feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(split.retain[: config.count + 2], config.batch_size)

        return [
            *solves.sums(config, model, split, sets),
            Stage("start", begin, lambda rng, state: feeds.dataless(1)),
            Stage("recursion", recursion, feed),
        ]

    def finish(state: State) -> Variables:
        params = jax.tree.map(
            lambda w, c: w + config.alpha * c, state.variables.params, state.system.solution
        )
        return state.variables._replace(params=params)

    def report(state: State) -> dict[str, Array]:
        return {} if released else {"wood_fisher/residual": state.system.relative}

    return Method(init, plan, finish, report=report, read_at_finish=frozenset({"alpha"}))
