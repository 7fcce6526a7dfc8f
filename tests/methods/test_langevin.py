"""Langevin unlearning: a step by hand, what is replaced, certificates, and networks without one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import build, langevin
from junlearn.parts import noise
from junlearn.parts.accounting import convex
from junlearn.parts.accounting.convex import Convex
from tests.linear_net import MODEL, problem
from tests.methods.test_certified import flat, gradient

FORGET, RETAIN = 4, 10
N = FORGET + RETAIN
FIELDS = {"lam": 0.01, "batch_size": N, "unlearn_epochs": 3, "learn_epochs": 2}


def go(key=0, **fields):
    variables, sources, split = problem(FORGET, RETAIN)
    method = build("langevin", langevin.Config(**(FIELDS | fields)), MODEL)
    return run(method, MODEL, variables, sources, split, key=jax.random.key(key))


def test_rows_stay_in_their_places():
    _, _, split = problem(FORGET, RETAIN)
    everything, others = langevin.replaced(split, 3)
    assert sorted(everything) == list(range(N))
    forgotten = np.isin(everything, split.forget)
    assert (everything == others)[~forgotten].all() and np.isin(others, split.retain).all()
    assert (langevin.replaced(split, 3)[1] == others).all()
    assert (langevin.replaced(split, 4)[0] != everything).any()


@pytest.mark.parametrize("batch_size", [N, 5])
def test_epochs_by_hand(batch_size, monkeypatch):
    """From zero on D, then on D'; the noise is 1 everywhere, and the last batch of 5 has 4 rows."""
    monkeypatch.setattr(noise, "draw", lambda key, params: jax.tree.map(jnp.ones_like, params))
    done = go(batch_size=batch_size, sigma=0.02)
    _, sources, split = problem(FORGET, RETAIN)
    x = np.asarray(sources["train"].x).reshape(N, -1).astype(float)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1.0)
    y = np.asarray(sources["train"].y)
    m = 0.01 * N
    eta = 1 / (1 + m)
    w = np.zeros(15)
    everything, others = langevin.replaced(split, 0)
    for rows in [everything] * 2 + [others] * 3:
        for at in range(0, N, batch_size):
            batch = rows[at : at + batch_size]
            g = gradient(w, x[batch], y[batch]) * len(batch) / batch_size
            w = w - eta * (g + m * w) + math.sqrt(2 * eta) * 0.02
    np.testing.assert_allclose(flat(done.variables.params), w, rtol=1e-4, atol=1e-5)
    # The network that comes out scales its images as the steps did.
    logits, _, _ = done.model.apply(done.variables, sources["train"].x)
    kernel, bias = w[3:].reshape(4, 3), w[:3]
    np.testing.assert_allclose(logits, x @ kernel + bias, rtol=1e-3, atol=1e-4)


def test_an_original_that_is_there_is_gone_on_from():
    """Learning and unlearning apart give what they give in one run, but for the noise, which is small here."""
    whole = go(sigma=1e-6)
    learnt = go(sigma=1e-6, unlearn_epochs=1, learn_epochs=2)
    assert [entry["stage"] for entry in whole.history] == ["learn"] * 2 + ["unlearn"] * 3
    _, sources, split = problem(FORGET, RETAIN)
    method = build(
        "langevin",
        langevin.Config(**FIELDS | {"original": "noisy", "unlearn_epochs": 2, "sigma": 1e-6}),
        MODEL,
    )
    after = run(method, MODEL, learnt.variables, sources, split, key=jax.random.key(9))
    assert [entry["stage"] for entry in after.history] == ["unlearn"] * 2
    np.testing.assert_allclose(
        flat(after.variables.params), flat(whole.variables.params), atol=1e-4
    )
    assert langevin.needs(langevin.Config(original="noisy")) == {"retain.x", "retain.y"}


@pytest.mark.parametrize("theorem", ["projected", "langevin"])
def test_certificates(theorem):
    split = problem(FORGET, RETAIN)[2]
    fields = {
        **FIELDS,
        "theorem": theorem,
        "unlearn_epochs": None,
        "sigma": 0.5,
        "epsilon": 6.0,
        "delta": 1e-3,
    }
    found = langevin.make(langevin.Config(**fields), MODEL).certificate(split)
    assert found["epsilon"] <= 6 and found["steps"] == found["epochs"]
    fewer = {**fields, "unlearn_epochs": found["epochs"] - 1}
    if found["epochs"] > 1:
        less = langevin.make(langevin.Config(**fewer), MODEL).certificate(split)
        assert less["epsilon"] > 6
    m = 0.01 * N
    assert found["convexity"] == pytest.approx(m)
    assert found["step"] == pytest.approx(1 / (1 + m))
    assert found["gradient_bound"] == pytest.approx(2.0)
    given = Convex(N, 2.0, m, found["step"], 0.5)
    if theorem == "langevin":
        expected = convex.langevin_epsilon(given, FORGET, 1e-3, found["epochs"])
    else:
        shift = convex.projected_shift(given, N, FORGET)
        expected = convex.projected_epsilon(given, N, shift, 1e-3, found["epochs"])
    assert found["epsilon"] == pytest.approx(expected)
    assert any("converged" in line for line in found["assumed"]) == (theorem == "langevin")
    assert langevin.make(langevin.Config(**FIELDS), MODEL).certificate(split)["delta"] == 1 / N


def test_the_bounds_of_a_linear_layer_hold():
    """Of images within R and any weights: the norm of an example's gradient, and the curvature."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.normal(size=(1, 4))
        x /= np.linalg.norm(x)
        w = 5 * rng.normal(size=15)
        y = rng.integers(0, 3, 1)
        assert np.linalg.norm(gradient(w, x, y)) <= 2.0
        v = rng.normal(size=15)
        v /= np.linalg.norm(v)
        curved = (gradient(w + 1e-5 * v, x, y) - gradient(w - 1e-5 * v, x, y)) / 2e-5
        assert v @ curved <= 1.0 + 1e-6


def test_what_no_theorem_is_about_is_refused():
    variables, sources, split = problem(FORGET, RETAIN)
    normed = variables._replace(stats={"batch_stats": {"mean": jnp.zeros(3)}})
    method = langevin.make(langevin.Config(**FIELDS), MODEL)
    with pytest.raises(ConfigError, match=r"langevin: .*running statistics"):
        run(method, MODEL, normed, sources, split, key=jax.random.key(0))

    def apply(variables, x, **how):
        return MODEL.apply(jax.tree.map(jnp.tanh, variables), x, **how)

    def longer(variables, x, **how):
        return MODEL.apply(variables, 3 * x, **how)

    def bent(variables, x, **how):
        return MODEL.apply(variables, jnp.tanh(x), **how)

    for other in (apply, longer, bent):
        method = langevin.make(langevin.Config(**FIELDS), MODEL._replace(apply=other))
        with pytest.raises(ConfigError, match=r"hidden layers or features.* a linear one is all"):
            run(method, MODEL, variables, sources, split, key=jax.random.key(0))
    with pytest.raises(ConfigError, match=r"learning_rate = 3 is above 1/L; up to 0.877"):
        langevin.make(langevin.Config(**FIELDS, learning_rate=3.0), MODEL).plan(split)
    config = langevin.Config(
        **{**FIELDS, "unlearn_epochs": None, "theorem": "langevin", "batch_size": 4}
    )
    with pytest.raises(ConfigError, match="batch_size = 4 is less than 14 examples"):
        langevin.make(config, MODEL).plan(split)


@pytest.mark.parametrize("preset", langevin.PRESETS)
def test_the_released_form_has_no_certificate(preset):
    fields = {**langevin.PRESETS[preset].fields, "unlearn_epochs": 1, "learn_epochs": 1}
    assert langevin.make(langevin.Config(**fields), MODEL).certificate is None
    assert go(**fields).certificate == {}
