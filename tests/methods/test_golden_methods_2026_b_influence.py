"""Parity with reference numbers of WoodFisher, influence and Newton steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from junlearn.engine.run import run_stages
from junlearn.engine.settings import Placement, Snapshots
from junlearn.methods import certified_newton, influence, wood_fisher
from junlearn.types import Data, Feed, Split
from tests.golden_nets import VIEWS, close, network, params, stats

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)
SINGLE = 1e-4
"""What single precision is held to."""


def done(module, config, case, kind="mlp", feed=None):
    """The weights after a method, and its state; `feed`: that of a stage called "lissa"."""
    model, variables = network(kind, case)
    x, y = (np.concatenate([case[f"{part}_retain"], case[f"{part}_forget"]]) for part in "xy")
    retain = np.arange(len(case["y_retain"]))
    split = Split(np.arange(len(retain), len(y)), retain, NONE, NONE)
    sources = {"train": Data(jnp.asarray(x), jnp.asarray(y))}
    method = module.make(config, model)

    def plan(split):
        return [
            stage._replace(feed=lambda rng, state: feed, epochs=1)
            if feed is not None and stage.name == "lissa"
            else stage
            for stage in made.plan(split)
        ]

    made, method = method, method._replace(plan=plan)
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


def flat(tree, case):
    """One vector in the order of the case: the arrays one after the other, kernels as (out, in)."""
    parts = []
    for name in case["flat_order"]:
        word = str(name).split()[0]
        leaf = tree[f"fc{word[1:]}"]["kernel" if word[0] == "W" else "bias"]
        parts.append(np.asarray(leaf).T.ravel())
    return np.concatenate(parts)


def influence_config(case, **fields):
    """The Hessian of the case has its weight decay in it, the gradient on the forget set does not."""
    return influence.Config(
        matrix="hessian",
        damping=float(case["gamma"]) + float(case["lam"]),
        batch_size=len(case["y_retain"]),
        **fields,
    )


def scaled(case, name):
    """The case's right side is the mean over the forget set, and its part in a removal is n_f / n_r."""
    return case[name] * len(case["y_forget"]) / len(case["y_retain"])


@pytest.mark.parametrize("rtol", [1e-9, SINGLE])
def test_newton(rtol, golden, request):
    if rtol < SINGLE:
        request.getfixturevalue("float64")
    case = golden("methods_2026_b/newton_mlp")
    config = influence_config(case, objective="retain", tolerance=1e-4 * rtol)
    lam = {"weight_decay": float(case["lam"]), "damping": float(case["gamma"])}
    after, state = done(influence, dataclasses.replace(config, **lam), case)
    close(flat(state.system.target, case), case["gradient_retain"], rtol=rtol)
    close(flat(state.system.solution, case), case["newton_exact"], rtol=rtol)
    before = network("mlp", case)[1].params
    moved = flat(before, case) - case["newton_exact"]
    close(flat(after.params, case), moved, rtol=rtol)


def test_influence_by_cg(golden, float64):
    """All iterates, and the solution."""
    case = golden("methods_2026_b/newton_mlp")
    for number, iterate in enumerate(scaled(case, "cg_iterates"), start=1):
        config = influence_config(case, iterations=number, tolerance=0.0)
        _, state = done(influence, config, case)
        close(flat(state.system.solution, case), iterate)
    _, state = done(influence, influence_config(case, tolerance=1e-13), case)
    close(flat(state.system.solution, case), scaled(case, "influence_exact"))


def test_influence_by_lissa(golden, float64):
    case = golden("methods_2026_b/newton_mlp")
    for steps, iterate in zip(case["lissa_steps"], scaled(case, "lissa_iterates"), strict=True):
        config = influence_config(
            case, solver="lissa", depth=int(steps), scale=float(case["lissa_scale"])
        )
        _, state = done(influence, config, case)
        close(flat(state.system.solution, case), iterate)


@pytest.mark.parametrize("rtol", [1e-9, SINGLE])
def test_certified_newton_as_released(rtol, golden, request):
    if rtol < SINGLE:
        request.getfixturevalue("float64")
    case = golden("methods_2026_b/newton_mlp")
    rows = case["rows"].reshape(-1, case["rows"].shape[-1])
    config = certified_newton.Config(
        regulariser="norms",
        damping=float(case["gamma"]),
        weight_decay=float(case["lam"]),
        scale=float(case["scale"]),
        depth=int(case["s2"]),
        repeats=int(case["s1"]),
        batch_size=int(case["batch_size"]),
        std=0.0,
    )
    after, state = done(certified_newton, config, case, feed=Feed(rows, np.ones(rows.shape, bool)))
    close(state.system.target, params("mlp", case, "_g_released"), rtol=rtol)
    close(state.system.solution, params("mlp", case, "_delta_released"), rtol=rtol)
    before = network("mlp", case)[1].params
    moved = jax.tree.map(lambda w, d: w - d, before, params("mlp", case, "_delta_released"))
    close(after.params, moved, rtol=rtol)
