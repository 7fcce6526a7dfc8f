"""UAM: a step recomputed by hand, the schedule of rho, and the limit of fine-tuning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import uam
from tests.methods.linear_pairs import LINEAR, PLAIN, drawn, gradient, weights


def stepped(w, pair, **fields):
    config = uam.Config(**(PLAIN | fields), epochs=1, batch_size=6, forget_batch_size=5)
    method = uam.make(config, LINEAR)
    state = method.init(jax.random.key(0), weights(w), {}, None)
    after, _ = jax.jit(method.plan(None)[0].step)(state, pair)
    return np.asarray(after.variables.params["w"])


def test_a_step_by_hand(float64):
    w, pair = drawn()
    up = gradient(w, pair["forget"])
    there = w + 0.7 * up / np.linalg.norm(up)
    after = w - 0.1 * gradient(there, pair["retain"])
    np.testing.assert_allclose(stepped(w, pair, rho=0.7), after, rtol=1e-12)


@pytest.mark.parametrize(("rho", "forget"), [(1e-14, True), (0.7, False)])
def test_without_a_step_up_it_is_finetuning(rho, forget, float64):
    """With next to no radius, and in the steps that have no forget rows."""
    w, pair = drawn(forget=forget)
    after = w - 0.1 * gradient(w, pair["retain"])
    np.testing.assert_allclose(stepped(w, pair, rho=rho), after, rtol=1e-12)


def test_the_step_up_is_as_long_as_rho():
    w = {"a": jnp.ones((2, 3)), "b": jnp.zeros(4)}
    up = {"a": jnp.full((2, 3), -2.0), "b": jnp.arange(4.0)}
    there = uam.perturbed(w, up, jnp.float32(0.25))
    squares = sum(np.square(there[k] - w[k]).sum() for k in w)
    np.testing.assert_allclose(squares, 0.25**2, rtol=1e-5)
    none = uam.perturbed(w, jax.tree.map(jnp.zeros_like, up), jnp.float32(0.25))
    np.testing.assert_array_equal(none["a"], w["a"])


def test_rho_over_a_run():
    steps = jnp.arange(8)
    np.testing.assert_allclose(uam.radius(uam.Config(rho=2.0), steps, 8), 2.0)
    falling = 1 + np.cos(np.pi * np.arange(8) / 8)
    config = uam.Config(rho=2.0, schedule="cosine")
    np.testing.assert_allclose(uam.radius(config, steps, 8), falling, rtol=1e-5)
    config = uam.Config(rho=2.0, schedule="cosine", start=3)
    later = np.where(np.arange(8) < 3, 2.0, falling)
    np.testing.assert_allclose(uam.radius(config, steps, 8), later, rtol=1e-5)


def test_the_cosine_runs_over_all_epochs(mlp, float64):
    """34 retain and 12 forget rows in batches of 8 are 5 steps an epoch: rho is half in the step 5 of 10."""
    config = uam.Config(schedule="cosine", epochs=2, batch_size=8, forget_batch_size=8, rho=1.0)
    method = uam.make(config, LINEAR)
    w, pair = drawn()
    state = method.init(jax.random.key(0), weights(w), {}, None)._replace(step=jnp.int32(5))
    after, _ = jax.jit(method.plan(mlp.split)[0].step)(state, pair)
    up = gradient(w, pair["forget"])
    there = w + 0.5 * up / np.linalg.norm(up)
    decayed = gradient(there, pair["retain"]) + 5e-4 * w
    np.testing.assert_allclose(after.variables.params["w"], w - 0.01 * decayed, rtol=1e-9)
