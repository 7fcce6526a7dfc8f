"""Scissorhands: what is trimmed, a projected step recomputed by hand, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import scissorhands
from junlearn.models import MODELS
from junlearn.parts.layers import last_half, normalising
from tests.methods.linear_pairs import LINEAR, PLAIN, drawn, gradient, weights

NETWORK = {
    "first": {"kernel": jnp.array([[9.0, 1.0]]), "bias": jnp.array([1.0, 1.0])},
    "norm": {"scale": jnp.array([50.0, 50.0]), "bias": jnp.array([50.0, 50.0])},
    "head": {"kernel": jnp.array([[-4.0], [3.0]]), "bias": jnp.array([-2.0])},
}
"""With sums of gradients of 1 its saliencies are 1, 1, 1, 2, 3, 4 and 9, but for the layer that normalises."""


def trimmed(kappa, late=("norm", "head")):
    fresh = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.5), NETWORK)
    return scissorhands.trim(NETWORK, jax.tree.map(jnp.ones_like, NETWORK), fresh, late, kappa)


@pytest.mark.parametrize(
    ("kappa", "tau", "head", "bias"),
    [
        (0.0, -np.inf, [0.5, 0.5], 0.5),
        (0.5, 1.0, [0.5, 0.5], 0.5),
        (0.6, 2.0, [0.5, 0.5], -2.0),
        (0.72, 3.0, [0.5, 3.0], -2.0),
        (0.9, 4.0, [-4.0, 3.0], -2.0),
        (1.0, 9.0, [-4.0, 3.0], -2.0),
    ],
)
def test_the_late_weights_above_the_threshold_are_new(kappa, tau, head, bias):
    saliency = jax.tree.map(jnp.abs, NETWORK)
    assert scissorhands.threshold(saliency, normalising(NETWORK), kappa) == tau
    after = trimmed(kappa)
    np.testing.assert_array_equal(after["head"]["kernel"].ravel(), head)
    np.testing.assert_array_equal(after["head"]["bias"], [bias])
    for name in ("first", "norm"):
        for leaf, old in zip(after[name].values(), NETWORK[name].values(), strict=True):
            np.testing.assert_array_equal(leaf, old)


def test_early_layers_count_but_stay():
    assert trimmed(0.9, ("first",))["first"]["kernel"].tolist() == [[0.5, 1.0]]


def test_late_layers():
    resnet = MODELS["resnet18"]
    model = resnet.make(resnet.Config(), 10, (32, 32, 3))
    last = last_half(model)
    assert sum(model.depths[-len(last) :]) == 9 and last[0] == model.layers[-5]
    assert last_half(LINEAR) == ("w",)
    with pytest.raises(ConfigError, match="give the model its layers"):
        scissorhands.make(scissorhands.Config(), LINEAR._replace(layers=()))
    with pytest.raises(ConfigError, match="exactly 3"):
        scissorhands.make(scissorhands.Config(late=3), LINEAR)


def stepped(w, pair, split=None, steps=(0,), **fields):
    """The weights after a memory step on the forget batch and one step on the pair, as if it were each of `steps`."""
    sizes = {"batch_size": 6, "forget_batch_size": 5}
    config = scissorhands.Config(**(PLAIN | sizes | {"epochs": 1} | fields))
    method = scissorhands.make(config, LINEAR)
    state = method.init(jax.random.key(0), weights(w), {}, split)
    *_, memory, training = method.plan(split)
    state, _ = jax.jit(memory.step)(state, pair["forget"])
    step = jax.jit(training.step)
    after = [step(state._replace(step=jnp.int32(number)), pair)[0] for number in steps]
    return [np.asarray(state.variables.params["w"]) for state in after]


@pytest.mark.parametrize(("lam", "margin"), [(0.0, 0.0), (0.0, 0.5), (0.3, 0.1), (3.0, 0.5)])
def test_a_step_by_hand(lam, margin, float64):
    """Where both batches hold the same rows the retain gradient is against the memory, up to lam = 1."""
    w, pair = drawn(3)
    pair["retain"] = pair["retain"]._replace(x=pair["retain"].x.at[:5].set(pair["forget"].x))
    pair["retain"] = pair["retain"]._replace(y=pair["retain"].y.at[:5].set(pair["forget"].y))
    retain, forget = gradient(w, pair["retain"]), gradient(w, pair["forget"])
    g, m = retain - lam * forget, -forget
    dot = (g * m).sum()
    assert (dot < 0) == (lam < 1)
    if dot < 0:
        g = g + max(margin, -dot / ((m**2).sum() + 1e-3)) * m
    (found,) = stepped(w, pair, lam=lam, margin=margin)
    np.testing.assert_allclose(found, w - 0.1 * g, rtol=1e-12)


def test_steps_without_forget_rows_are_plain(float64):
    w, pair = drawn(forget=False)
    after = w - 0.1 * gradient(w, pair["retain"])
    np.testing.assert_allclose(stepped(w, pair)[0], after, rtol=1e-12)


def test_one_step_in_some_is_projected(mlp, float64):
    """An epoch of 34 retain rows in batches of 8 has 5 steps: the projected ones are 0, 2, 4 and then 5."""
    w, pair = drawn(3)
    pair["forget"] = pair["forget"]._replace(x=pair["retain"].x[:5], y=pair["retain"].y[:5])
    retain, forget = gradient(w, pair["retain"]), gradient(w, pair["forget"])
    plain = w - 0.1 * (retain - 0.05 * forget)
    options = {"project_every": 2, "batch_size": 8, "forget_batch_size": 8}
    found = stepped(w, pair, mlp.split, range(7), **options)
    projected = [not np.allclose(after, plain, rtol=1e-12) for after in found]
    assert projected == [True, False, True, False, True, True, False]
