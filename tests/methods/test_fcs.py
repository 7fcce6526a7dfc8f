"""FCS: the contrast recomputed by hand, its optimisers, and where it does nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import fcs
from junlearn.types import Split
from tests.methods.linear_pairs import LINEAR, drawn, gradient, weights


def by_hand(w, x_f, x_r, temperature):
    """The loss of the contrast of a linear network, and its gradient through the forget rows alone."""
    s = (x_f @ w) @ (x_r @ w).T / temperature
    share = np.exp(s) / np.exp(s).sum(1, keepdims=True)
    loss = (np.log(np.exp(s).sum(1, keepdims=True)) - s).mean()
    pull = (len(x_r) * share - 1) / s.size
    return loss, x_f.T @ (pull @ (x_r @ w)) / temperature


def stages_of(split=None, **fields):
    config = fcs.Config(**({"momentum": 0.0, "batch_size": 8, "epochs": 2} | fields))
    method = fcs.make(config, LINEAR)
    split = split or Split(np.arange(10), np.arange(10, 40), np.arange(0), np.arange(0))
    return method, split, method.plan(split)


def test_a_contrast_step_by_hand(float64):
    """Rows outside of the mask are no rows and no columns of S; labels and decay do not matter."""
    w, pair = drawn()
    kept = jnp.arange(6) < 4
    pair["retain"] = pair["retain"]._replace(mask=kept)
    pair["forget"] = pair["forget"]._replace(mask=jnp.arange(5) > 0)
    x_f, x_r = np.asarray(pair["forget"].x)[1:], np.asarray(pair["retain"].x)[:4]
    loss, pull = by_hand(w, x_f, x_r, 1.5)
    method, split, stages = stages_of(temperature=1.5, learning_rate=0.1)
    state = method.init(jax.random.key(0), weights(w), {}, split)
    after, metrics = jax.jit(stages[1].step)(state, pair)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-12)
    np.testing.assert_allclose(after.variables.params["w"], w - 0.1 * pull, rtol=1e-12)


def test_one_retain_row_leaves_no_contrast():
    """The share of a single column is 1: no loss and no gradient."""
    z = jnp.array([[1.0, -2.0], [3.0, 0.5]])
    value, pull = jax.value_and_grad(fcs.contrast)(z, z, jnp.array([1, 1]) > 0, z[:, 0] > 2, 1.0)
    assert value == 0 and not pull.any()


def test_the_passes_have_optimisers_of_their_own(float64):
    """A repair step after the others is one with a momentum of 0, with the rate 0.1 B / 64 and the decay."""
    w, pair = drawn()
    method, split, (uniform, contrast, repair, *_) = stages_of(
        momentum=0.9, repair_learning_rate=0.1, weight_decay=0.5
    )
    state = method.init(jax.random.key(0), weights(w), {}, split)
    state, _ = jax.jit(uniform.step)(state, pair["forget"])
    state, _ = jax.jit(contrast.step)(state, pair)
    before = np.asarray(state.variables.params["w"])
    state, _ = jax.jit(repair.step)(state, pair["retain"])
    decayed = gradient(before, pair["retain"]) + 0.5 * before
    after = before - 0.1 * 8 / 64 * decayed
    np.testing.assert_allclose(state.variables.params["w"], after, rtol=1e-12)


@pytest.mark.parametrize(("forget", "retain"), [(10, 30), (30, 10)])
def test_an_epoch_ends_with_the_shorter_set(forget, retain):
    rows = np.arange(forget + retain)
    split = Split(rows[:forget], rows[forget:], rows[:0], rows[:0])
    _, _, stages = stages_of(split)
    assert [stage.name for stage in stages] == [
        *("uniform", "contrast 0", "repair 0", "contrast 1", "repair 1"),
    ]
    both = stages[1].feed(np.random.default_rng(0), None)
    assert both["forget"].index.shape == both["retain"].index.shape == (2, 8)
    assert set(both["forget"].index.ravel()) <= set(split.forget)
    assert set(both["retain"].index.ravel()) <= set(split.retain)
