"""NTK scrubbing: reference numbers, the linear system, the scale, float32, sizes that are too large."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import ntk
from junlearn.types import Data, Split
from tests.conftest import make_problem
from tests.golden_nets import close, drive, network, params

NONE = np.zeros(0, int)


def accumulated(case, dtype):
    """The method and its state after both passes, in ragged batches; the sum over them is that of any others."""
    case = {k: v.astype(dtype) if v.dtype == np.float64 else v for k, v in case.items()}
    model, variables = network("mlp", case)
    x = np.concatenate([case["x_retain"], case["x_forget"]])
    y = np.concatenate([case["y_retain"], case["y_forget"]])
    retain = len(case["x_retain"])
    split = Split(np.arange(retain, len(x)), np.arange(retain), NONE, NONE)
    sources = {"train": Data(jnp.asarray(x), jnp.asarray(y))}
    config = ntk.Config(weight_decay=float(case["weight_decay"]), batch_size=5)
    method = ntk.make(config, model)
    state = method.init(jax.random.key(0), variables, sources, split)
    for stage in method.plan(split):
        state, _ = drive(stage, state, sources)
    return method, state, model, variables, x


@pytest.mark.parity
def test_golden(golden, float64):
    case = golden("jit_ssd/ntk_mlp")
    method, state, *_ = accumulated(case, np.float64)
    done = method.finish(state)
    close(done.params, params("mlp", case, "_out"))
    (j_r, e_r), (j_f, e_f) = state.retain.rows(), state.forget.rows()
    weight_decay = float(case["weight_decay"])
    kept, shown = len(case["x_retain"]), len(case["x_retain"]) + len(case["x_forget"])
    retain = ntk.solution(j_r, e_r, kept * weight_decay)
    rows = jnp.concatenate([j_r, j_f]), jnp.concatenate([e_r, e_f])
    everything = ntk.solution(*rows, shown * weight_decay)
    delta, cosine, scale = ntk.scrub(retain, everything)
    close(cosine, case["inner"])
    close(scale, case["scale"])
    close(jnp.linalg.norm(delta), case["delta_norm"])
    # The same by the equivalent system in the parameters.
    j = np.asarray(j_r)
    direct = np.linalg.solve(j.T @ j + kept * weight_decay * np.eye(j.shape[1]), -j.T @ e_r)
    close(retain, direct, 1e-8)


@pytest.mark.parity
def test_float32_is_near(golden):
    case = golden("jit_ssd/ntk_mlp")
    method, state, *_ = accumulated(case, np.float32)
    done = method.finish(state)
    close(done.params, params("mlp", case, "_out"), 1e-4)


@pytest.mark.parity
def test_jacobian_is_the_derivative(golden, float64):
    case = golden("jit_ssd/ntk_mlp")
    _, state, model, variables, x = accumulated(case, np.float64)
    moved = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1e-6), variables.params)
    flat = jax.flatten_util.ravel_pytree(moved)[0]
    up, down = (
        model.apply(
            variables._replace(
                params=jax.tree.map(lambda a, b, s=s: a + s * b, variables.params, moved)
            ),
            x,
        )[0]
        for s in (1, -1)
    )
    ours = jnp.concatenate([state.retain.jacobian, state.forget.jacobian]) @ flat
    np.testing.assert_allclose(ours, (up - down) / 2, atol=1e-11)


@pytest.mark.parametrize("sign", [1, -1])
def test_scale_on_both_sides(sign):
    """c = 0.6 or -0.6 by hand: |r| = 5, |delta| = 2."""
    retain = jnp.array([3.0, 4.0])
    delta, cosine, scale = ntk.scrub(retain, retain - jnp.array([-2.0 * sign, 0.0]))
    np.testing.assert_allclose(delta, [-2.0 * sign, 0.0], rtol=1e-6)
    np.testing.assert_allclose(cosine, 0.6 * sign, rtol=1e-5)
    turn = 0.6 if sign > 0 else np.sin(np.arccos(-0.6) - np.pi / 2)
    np.testing.assert_allclose(scale, 1 + 2 * turn * 5 / 2, rtol=1e-5)


def test_nothing_between_the_two_solutions_changes_nothing():
    delta, _, scale = ntk.scrub(jnp.ones(3), jnp.ones(3))
    assert not delta.any() and scale == 1


def test_retain_count_draws_a_part(mlp):
    def order(count, seed):
        method = ntk.make(ntk.Config(retain_count=count), mlp.model)
        state = method.init(jax.random.key(seed), mlp.variables, mlp.sources, mlp.split)
        assert state.retain.jacobian.shape[0] == len(state.order)
        return list(np.asarray(state.order))

    first = order(5, 0)
    assert len(set(first)) == 5 and set(first) <= set(mlp.split.retain)
    assert order(5, 0) == first and order(5, 1) != first
    assert sorted(order(1000, 0)) == list(mlp.split.retain)


def test_too_large_says_what_it_would_need():
    problem = make_problem("mlp", size=4, train=8, test=4)
    method = ntk.make(ntk.Config(max_entries=1000), problem.model)
    with pytest.raises(
        ConfigError, match=r"32 rows \(8 examples of 4 logits\) of 5,508 parameters"
    ):
        method.init(jax.random.key(0), problem.variables, problem.sources, problem.split)
