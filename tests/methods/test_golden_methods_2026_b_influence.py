"""Parity with reference numbers of influence methods."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from junlearn.engine.run import run_stages
from junlearn.engine.settings import Placement, Snapshots
from junlearn.methods import wood_fisher
from junlearn.types import Data, Split
from tests.golden_nets import VIEWS, close, network, params, stats

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)
SINGLE = 1e-4
"""What single precision is held to."""


def done(module, config, case, kind="mlp"):
    """The weights after a method, and its state."""
    model, variables = network(kind, case)
    x, y = (np.concatenate([case[f"{part}_retain"], case[f"{part}_forget"]]) for part in "xy")
    retain = np.arange(len(case["y_retain"]))
    split = Split(np.arange(len(retain), len(y)), retain, NONE, NONE)
    sources = {"train": Data(jnp.asarray(x), jnp.asarray(y))}
    method = module.make(config, model)
    options = {"placement": Placement(), "snapshots": Snapshots(), "views": VIEWS}
    key = jax.random.key(0)
    state = run_stages(method, model, variables, sources, split, key=key, **options).state
    return method.finish(state), state


def wood_fisher_config(case, **fields):
    return wood_fisher.Config(
        alpha=float(case["alpha"]),
        batch_size=int(case["batch_size"]),
        count=int(case["N_released"]),
        **fields,
    )


def exact(case, suffix):
    damping = 1.0 if suffix == "unit" else float(case["damping"])
    return wood_fisher_config(case, damping=damping, tolerance=1e-13)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("suffix", ["unit", "damped"])
def test_wood_fisher(kind, suffix, golden, float64):
    case = golden(f"methods_2026_b/iu_{kind}")
    after, state = done(wood_fisher, exact(case, suffix), case, kind)
    close(state.system.target, params(kind, case, "_v"))
    close(state.system.solution, params(kind, case, f"_k_{suffix}"))
    close(after.params, params(kind, case, f"_out_{suffix}"))
    close(after.stats, stats(kind, case))
    assert state.system.relative < 1e-10


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_wood_fisher_in_single_precision(kind, golden):
    case = golden(f"methods_2026_b/iu_{kind}")
    config = dataclasses.replace(exact(case, "damped"), tolerance=1e-6)
    after, _ = done(wood_fisher, config, case, kind)
    close(after.params, params(kind, case, "_out_damped"), rtol=SINGLE)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_wood_fisher_as_released(kind, golden, float64):
    """The number of the case stands for gradients that there are not."""
    case = golden(f"methods_2026_b/iu_{kind}")
    assert int(case["N_released"]) > len(case["y_retain"])
    after, state = done(wood_fisher, wood_fisher_config(case, curvature="released"), case, kind)
    close(state.system.solution, params(kind, case, "_k_released"))
    close(after.params, params(kind, case, "_out_released"))
    moved = jax.tree.map(jnp.subtract, state.system.target, state.system.solution)
    # The vector of the recursion is as long or short as ever a multiple of the first gradient.
    moved, first = (ravel_pytree(tree)[0] for tree in (moved, state.system.direction))
    cosine = moved @ first / jnp.linalg.norm(moved) / jnp.linalg.norm(first)
    assert cosine == pytest.approx(float(case["first_gradient_cos"]), abs=1e-12)
