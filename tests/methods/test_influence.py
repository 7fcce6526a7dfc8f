"""Influence: where it lands from a minimum, and what is told where the equations do not hold."""

import dataclasses

import jax
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import DivergedError
from junlearn.methods import influence
from junlearn.types import Variables
from tests import linear_net
from tests.linear_net import MODEL, arrays, gradient, one_hot

DECAY = 0.1
CONFIG = influence.Config(weight_decay=DECAY, damping=0.0, tolerance=1e-12)


def minimum(variables, data, rows):
    """The weights of least mean cross entropy and weight decay on `rows`, by plain descent."""
    x, y = data.x[rows], one_hot(data.y[rows])
    kernel, bias = arrays(variables)
    for _ in range(3000):
        now = Variables({"fc": {"kernel": kernel, "bias": bias}}, {})
        kernel, bias = (
            w - 0.5 * (g + DECAY * w)
            for w, g in zip((kernel, bias), gradient(now, x, y), strict=True)
        )
    return Variables({"fc": {"kernel": kernel, "bias": bias}}, {})


def distance(one, other):
    return np.sqrt(
        sum(((a - b) ** 2).sum() for a, b in zip(arrays(one), arrays(other), strict=True))
    )


def test_from_a_minimum_to_the_one_without_the_forget_set(float64):
    """To second order; both objectives make the same step."""
    variables, sources, split = linear_net.problem(2, 60)
    data = jax.tree.map(np.asarray, sources["train"])
    data = data._replace(x=data.x.astype(float))
    began, wanted = (minimum(variables, data, rows) for rows in (np.arange(62), split.retain))
    ends = []
    for objective in ("removal", "retain"):
        method = influence.make(dataclasses.replace(CONFIG, objective=objective), MODEL)
        done = run(method, MODEL, began, {"train": data}, split, key=jax.random.key(0))
        assert done.reported["influence/residual"] < 1e-10
        assert distance(done.variables, wanted) < 0.1 * distance(began, wanted)
        ends.append(done.variables)
    assert distance(*ends) < 1e-9 * distance(began, wanted)


def test_forget_data_are_not_needed_for_a_newton_step():
    assert influence.needs(influence.Config()) == influence.NEEDS
    retain = influence.needs(influence.Config(objective="retain"))
    assert retain == {"retain.x", "retain.y"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"matrix": "hessian"}, r'larger damping, or matrix = "gauss_newton"'),
        ({"solver": "lissa", "scale": 1e-3, "depth": 60}, "stage 'lissa"),
    ],
)
def test_what_has_no_solution_is_told(fields, told, mlp):
    method = influence.make(influence.Config(damping=1e-6, **fields), mlp.model)
    with pytest.raises(DivergedError, match=told):
        run(method, *mlp, key=jax.random.key(0))
