"""DMM: its three kinds of targets recomputed in numpy for a linear network, its rows, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run_stages
from junlearn.engine.settings import Placement, Snapshots
from junlearn.errors import ConfigError
from junlearn.methods import dmm
from junlearn.parts import trak
from junlearn.testing import tiny
from junlearn.types import Data, Split
from tests.methods.linear_pairs import LINEAR, weights

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(11, 4)).astype(np.float32), RNG.integers(0, 3, 11)
W = RNG.normal(size=(4, 3)).astype(np.float32)
NONE = np.zeros(0, int)
SPLIT = Split(np.array([2, 5, 7]), np.array([0, 1, 3, 4, 6, 8, 9, 10]), NONE, NONE)
SOURCES = {"train": Data(jnp.asarray(X), jnp.asarray(Y))}
Z = X @ W
P = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
MISSING = np.eye(3)[Y] - P
"""Onehot - p."""


def targeted(**fields):
    """The rows of the table, the targets there, and the state, before the matching."""
    config = dmm.Config(batch_size=4, retain_ratio=2.0, **fields)
    method = dmm.make(config, LINEAR)
    short = method._replace(plan=lambda split: [s for s in method.plan(split) if s.name != "match"])
    state = run_stages(
        *(short, LINEAR, weights(W), SOURCES, SPLIT),
        key=jax.random.key(0),
        placement=Placement("python"),
        snapshots=Snapshots(),
        views={"eval": lambda rows, keys: rows.x},
    ).state
    rows = np.concatenate([SPLIT.forget, np.asarray(state.sample)])
    assert set(rows[3:]) <= set(SPLIT.retain) and len(set(rows)) == 9
    return rows, np.asarray(state.table), state


def shift(damping):
    """u of the influence targets, by a dense solve."""
    curvature = np.zeros((12, 12))
    for row in SPLIT.retain:
        bend = np.diag(P[row]) - np.outer(P[row], P[row])
        curvature += np.kron(np.outer(X[row], X[row]), bend) / len(SPLIT.retain)
    gradient = sum(np.outer(X[row], -MISSING[row]) for row in SPLIT.forget) / len(SPLIT.retain)
    return np.linalg.solve(curvature + damping * np.eye(12), gradient.ravel()).reshape(4, 3)


def test_influence_targets():
    rows, table, state = targeted(damping=0.1, tolerance=0.0, iterations=30, multiplier=2.0)
    np.testing.assert_allclose(table, (Z + 2 * X @ shift(0.1))[rows], rtol=1e-4, atol=1e-4)
    assert state.system.relative < 1e-5


def test_trak_targets():
    """As many directions as there are weights see all: gradients of the logits are x, for each."""
    rows, table, state = targeted(attribution="trak", features=4, damping=0.1)
    columns = [
        trak.random_direction(state.key, {"w": jnp.asarray(W)}, number, 4)["w"]
        for number in range(4)
    ]
    for k in range(3):
        phi = X @ np.stack([np.asarray(column)[:, k] for column in columns], axis=1)
        pulled = trak.scores(jnp.asarray(phi), jnp.asarray(phi), jnp.asarray(MISSING[:, k]), 1.1)
        wanted = Z[:, k] - np.asarray(pulled)[SPLIT.forget].sum(0)
        np.testing.assert_allclose(table[:, k], wanted[rows], rtol=1e-3, atol=1e-3)


def test_targets_of_a_file_are_what_is_matched(tmp_path):
    """Oracle matching: the original is not asked."""
    path = str(tmp_path / "oracle.npz")
    goal = RNG.normal(size=(11, 3)).astype(np.float32)
    np.savez(path, targets=goal)
    method = dmm.make(dmm.Config(file=path, retain_ratio=2.0), LINEAR)
    assert [stage.name for stage in method.plan(SPLIT)] == ["match"]
    state = method.init(jax.random.key(0), weights(W), SOURCES, SPLIT)
    rows = np.concatenate([SPLIT.forget, np.asarray(state.sample)])
    np.testing.assert_array_equal(state.table, goal[rows])


@pytest.mark.parametrize(
    ("repeats", "ratio", "wanted"),
    [(1.0, 1.0, [0, 1, 2, 3, 4, 5]), (2.4, 0.0, [0, 1, 2, 0, 1, 2, 0]), (0.0, 9.0, range(3, 11))],
)
def test_rows_of_an_epoch(tmp_path, repeats, ratio, wanted):
    path = str(tmp_path / "sums.npz")
    np.savez(path, sums=np.zeros((11, 3), np.float32))
    config = dmm.Config(
        file=path, forget_repeats=repeats, retain_ratio=ratio, shuffle=False, batch_size=4
    )
    method = dmm.make(config, LINEAR)
    state = method.init(jax.random.key(0), weights(W), SOURCES, SPLIT)
    feed = method.plan(SPLIT)[-1].feed(np.random.default_rng(0), state)
    rows = np.concatenate([SPLIT.forget, np.asarray(state.sample)])
    assert feed.slot[feed.mask].tolist() == list(wanted)
    np.testing.assert_array_equal(feed.index, rows[feed.slot])


def test_direct():
    """The tangent of the network, served as it is; its network can be made anew."""
    problem = tiny("mlp")
    method = dmm.make(dmm.Config(direct=True, multiplier=0.5), problem.model)
    assert {stage.name for stage in method.plan(problem.split)}.isdisjoint({"targets", "match"})
    state = method.init(jax.random.key(0), problem.variables, problem.sources, problem.split)
    params = problem.variables.params
    solution = jax.tree.map(lambda leaf: leaf * 0.1 + 0.01, params)
    model, variables = method.finish(
        state._replace(system=state.system._replace(solution=solution))
    )
    x = jnp.asarray(problem.sources["test"].x)
    found, features, _ = model.apply(variables, x)
    # A small step along the solution, by differences.
    step = 1e-3
    near = jax.tree.map(lambda leaf, way: leaf + step * way, params, solution)
    before = problem.model.apply(problem.variables, x)[0]
    change = (problem.model.apply(problem.variables._replace(params=near), x)[0] - before) / step
    assert float(jnp.abs(change).max()) > 0.1 and len(features["embedding"]) == len(x)
    np.testing.assert_allclose(found, before + 0.5 * change, atol=2e-3)
    fresh = jax.eval_shape(model.init, jax.random.key(0), x[:1])
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, variables)


def test_what_it_reads():
    assert dmm.needs(dmm.Config()) == dmm.NEEDS
    assert dmm.needs(dmm.Config(file="tau.npz")) == {"forget.x", "retain.x"}


def test_bad_input():
    with pytest.raises(ConfigError, match="direct=True needs"):
        dmm.make(dmm.Config(direct=True, attribution="trak"), LINEAR)
    method = dmm.make(dmm.Config(forget_repeats=0.0, retain_ratio=0.1), LINEAR)
    with pytest.raises(ConfigError, match="leave no example to train on"):
        method.init(jax.random.key(0), weights(W), SOURCES, SPLIT)
