"""Damped systems: what both solvers find against a dense solution, and what is told where there is none."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest

from junlearn.engine.run import run_stages
from junlearn.engine.settings import Placement, Snapshots
from junlearn.errors import DivergedError
from junlearn.parts import solves
from junlearn.parts.linear_systems import Solve, squares
from junlearn.types import Method
from tests import linear_net
from tests.linear_net import MODEL, arrays, flat, one_hot, softmax

FORGET, RETAIN = 3, 10
RIDGE = 0.1
PENALTY = squares(RIDGE)


@dataclass(frozen=True, kw_only=True)
class Asked(solves.Solving):
    """The fields, with batches of which the last is ragged."""

    damping: float = 0.05
    batch_size: int = 4


def solved(config, weights=(0.5, -0.2), penalty=PENALTY):
    """The system after the stages of its solution."""
    variables, sources, split = linear_net.problem(FORGET, RETAIN)
    variables, sources = jax.tree.map(
        lambda a: a.astype(float) if a.dtype.kind == "f" else a, (variables, sources)
    )

    def init(key, variables, sources, split):
        forget, retain = weights
        system = solves.begin(variables.params, split, config, forget=forget, retain=retain)
        return Solve(variables, system, key)

    def plan(split):
        return solves.stages(
            config, MODEL, split, "hessian", ("forget", "retain"), slope=penalty, bend=penalty
        )

    method = Method(init, plan, lambda state: state.variables)
    options = {"placement": Placement(), "snapshots": Snapshots(), "key": jax.random.key(0)}
    staged = run_stages(method, MODEL, variables, sources, split, **options)
    return staged.state.system, staged.history


def expected(weights=(0.5, -0.2), ridge=RIDGE):
    """The dense solution, with the parameters in the order bias, kernel."""
    variables, sources, split = linear_net.problem(FORGET, RETAIN)
    x = np.concatenate([np.ones((FORGET + RETAIN, 1)), flat(sources["train"].x)], 1)
    kernel, bias = arrays(variables)
    theta = np.concatenate([bias[None], kernel])
    p = softmax(x @ theta)
    each = np.einsum("ni,nk->nik", x, p - one_hot(sources["train"].y))
    b = weights[0] * each[split.forget].sum(0) + weights[1] * each[split.retain].sum(0)
    bent = np.einsum("nk,kl->nkl", p, np.eye(3)) - np.einsum("nk,nl->nkl", p, p)
    a = np.einsum("ni,nkl,nj->ikjl", *(part[split.retain] for part in (x, bent, x))) / RETAIN
    size = theta.size
    matrix = a.reshape(size, size) + (Asked.damping + ridge) * np.eye(size)
    return np.linalg.solve(matrix, (b + ridge * theta).ravel()).reshape(theta.shape)


def together(tree):
    return np.concatenate([np.asarray(tree["fc"]["bias"])[None], np.asarray(tree["fc"]["kernel"])])


LISSA = {"solver": "lissa", "scale": 2.0, "depth": 300, "batch_size": RETAIN}


@pytest.mark.parametrize("fields", [{"tolerance": 1e-12}, LISSA | {"repeats": 2}])
def test_solutions(fields, float64):
    system, _ = solved(Asked(**fields), penalty=squares(0.1))
    np.testing.assert_allclose(together(system.solution), expected(), rtol=1e-7)
    assert system.relative < 1e-7


def test_cg_ends_at_the_tolerance(float64):
    system, history = solved(Asked(tolerance=0.1))
    passes = [entry for entry in history if entry["stage"] == "conjugate gradients"]
    assert 1 < len(passes) < 15
    assert 0 < system.relative <= 0.1
    assert solved(Asked(tolerance=0.0, iterations=2))[0].relative > 0.1


def test_the_drawn_rows_are_those_of_every_pass(float64):
    system, _ = solved(Asked(tolerance=1e-10, count=5))
    assert system.rows == 5 and system.relative < 1e-9
    assert not np.allclose(together(system.solution), expected(), rtol=1e-2)


def test_no_gradient_no_change():
    system, history = solved(Asked(), weights=(0.0, 0.0), penalty=None)
    assert not together(system.solution).any() and system.relative == 0
    assert [entry["stage"] for entry in history].count("conjugate gradients") == 1


def test_negative_curvature_is_told():
    with pytest.raises(DivergedError, match="not positive definite; take a larger damping, or"):
        solved(Asked(damping=0.0), penalty=squares(-9.0))
