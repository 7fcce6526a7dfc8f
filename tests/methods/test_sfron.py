"""SFRon: a step recomputed by hand, its mask, its shares, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import sfron
from junlearn.parts import importance
from junlearn.types import Split
from tests.methods.linear_pairs import LINEAR, PLAIN, drawn, gradient, gradients, weights

ROWS = np.arange(30)
SPLIT = Split(ROWS[:10], ROWS[10:], ROWS[:0], ROWS[:0])


def stages_of(**fields):
    config = sfron.Config(**(PLAIN | {"steps": 7, "batch_size": 4} | fields))
    method = sfron.make(config, LINEAR)
    return method, method.plan(SPLIT)


def stepped(w, pair, at=0, mask=None, **fields):
    method, stages = stages_of(**fields)
    state = method.init(jax.random.key(0), weights(w), {}, SPLIT)._replace(step=jnp.int32(at))
    if mask is not None:
        state = state._replace(extra=state.extra._replace(mask={"w": jnp.asarray(mask)}))
    return np.asarray(jax.jit(stages[-1].step)(state, pair)[0].variables.params["w"])


def ascent_of(w, part, exponent, least):
    """The gradient of the weighted loss, in which the shares are constants."""
    z = np.exp(np.asarray(part.x) @ w)
    losses = -np.log(z[np.arange(len(z)), part.y] / z.sum(1))
    share = 1 / (np.maximum(losses, least) ** exponent)
    return np.einsum("b,bij->ij", share / share.sum(), gradients(w, part))


@pytest.mark.parametrize(("at", "least", "clip"), [(0, 0.0, None), (2, 0.7, None), (2, 0.0, 0.5)])
def test_a_step_by_hand(at, least, clip, float64):
    """Rate and weight fall as half a cosine over the 7 steps; the retain step sees the weights after the ascent."""
    w, pair = drawn()
    mask = np.arange(12).reshape(4, 3) % 3 > 0
    fall = (1 + np.cos(np.pi * at / 7)) / 2
    up = -2.0 * fall * mask * ascent_of(w, pair["forget"], 0.5, least)
    if clip:
        assert np.linalg.norm(up) > clip
        up *= clip / (np.linalg.norm(up) + 1e-6)
    there = w - 0.1 * fall * up
    after = there - 0.1 * fall * gradient(there, pair["retain"])
    fields = {"ascent": 2.0, "least_loss": least, "clip": clip}
    np.testing.assert_allclose(stepped(w, pair, at, mask, **fields), after, rtol=1e-12)
    slow = stepped(w, pair, at, mask, beta=0.25, **fields)
    np.testing.assert_allclose(slow, 0.25 * after + 0.75 * w, rtol=1e-12)


@pytest.mark.parametrize("fields", [{"ascent": 0.0}, {"threshold": None, "ascent": 0.0}, {}])
def test_without_an_ascent_it_is_finetuning(fields, float64):
    w, pair = drawn(forget=bool(fields))
    after = w - 0.1 * gradient(w, pair["retain"])
    np.testing.assert_allclose(stepped(w, pair, **fields), after, rtol=1e-12)


def test_shares():
    losses, real = jnp.array([4.0, 1.0, 0.0, 9.0]), jnp.array([True, True, False, True])
    found = sfron.shares(losses, real, 0.5, 0.0)
    np.testing.assert_allclose(found, np.array([3, 6, 0, 2]) / 11, rtol=1e-6)
    np.testing.assert_allclose(sfron.shares(losses, real, 0.0, 0.0), real / 3, rtol=1e-6)
    # An example without loss takes everything, unless there is a least loss.
    everything = losses >= 0
    np.testing.assert_allclose(sfron.shares(losses, everything, 0.5, 0.0), losses == 0, atol=1e-6)
    found = sfron.shares(losses, everything, 0.5, 4.0)
    np.testing.assert_allclose(found, np.array([3, 3, 3, 2]) / 11, rtol=1e-6)


def test_the_mask_is_of_exact_squares(float64):
    """Of each example by default; of means over batches where it is asked for. Equal entries, 0 / 0 too, may move."""
    w, pair = drawn()
    for kind, squares in (
        ("example", {name: (gradients(w, part) ** 2).mean(0) for name, part in pair.items()}),
        ("batch", {name: gradient(w, part) ** 2 for name, part in pair.items()}),
    ):
        method, (of_forget, of_retain, mask, _) = stages_of(fisher=kind, threshold=0.8)
        state = method.init(jax.random.key(0), weights(w), {}, SPLIT)
        state, _ = jax.jit(of_forget.step)(state, pair["forget"])
        state, _ = jax.jit(of_retain.step)(state, pair["retain"])
        np.testing.assert_allclose(state.extra.forget.mean()["w"], squares["forget"], rtol=1e-12)
        state, _ = jax.jit(mask.step)(state, None)
        expected = squares["forget"] >= 0.8 * squares["retain"]
        np.testing.assert_array_equal(state.extra.mask["w"], expected)
    dead = importance.Importance({"w": jnp.zeros((4, 3))}, jnp.int32(1))
    state = state._replace(extra=state.extra._replace(forget=dead, retain=dead))
    assert jax.jit(mask.step)(state, None)[0].extra.mask["w"].all()


def test_an_ascent_in_some_steps():
    method, stages = stages_of(forget_every=3)
    feed = stages[-1].feed(np.random.default_rng(0), None)
    assert feed["forget"].mask.any(1).tolist() == [True, False, False, True, False, False, True]
    # Three batches are all 10 of the forget set, and five all 20 of the retain set.
    asked = feed["forget"].index[feed["forget"].mask]
    assert sorted(asked) == list(SPLIT.forget)
    assert sorted(feed["retain"].index[:5][feed["retain"].mask[:5]]) == list(SPLIT.retain)
    assert [stage.name for stage in stages_of(threshold=None)[1]] == ["steps"]
    assert "beta = 0" in stages_of(beta=0.0)[0].idle(SPLIT) and not method.idle(SPLIT)
