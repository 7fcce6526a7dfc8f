"""Noisy fine-tuning, model clipping and output perturbation: steps by hand, noise, certificates, refusals."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import METHODS, build, model_clipping, noisy_finetune, output_perturbation
from junlearn.parts import noise
from junlearn.parts.accounting.gaussian import epsilon_of
from tests.linear_net import MODEL, WIDTH, problem

NOISY = {
    "noisy_finetune": {"init_clip": 1.0, "grad_clip": 0.2, "noisy_rate": 0.1, "noisy_decay": 2.0},
    "model_clipping": {"init_clip": 1.0, "model_clip": 0.3, "noisy_rate": 0.1, "noisy_decay": 2.0},
}


def norm(tree):
    return math.sqrt(sum(float(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(tree)))


def go(name, key=0, split=None, **fields):
    """A run on one linear layer; without noise-free training unless asked for."""
    variables, sources, own = problem(4, 10)
    module = METHODS[name]
    config = module.Config(**({"epochs": 0, "batch_size": 10} | NOISY.get(name, {}) | fields))
    method = build(name, config, MODEL)
    return run(method, MODEL, variables, sources, split or own, key=jax.random.key(key))


def clip(vector, radius):
    return vector * min(1, radius / np.linalg.norm(vector))


def flat(params):
    layer = params["fc"]
    return np.concatenate([np.ravel(layer["bias"]), np.ravel(layer["kernel"])]).astype(float)


def gradient(vector, x, y):
    bias, kernel = vector[:3], vector[3:].reshape(WIDTH, 3)
    z = x @ kernel + bias
    p = np.exp(z - z.max(1, keepdims=True))
    error = (p / p.sum(1, keepdims=True) - np.eye(3)[y]) / len(x)
    return np.concatenate([error.sum(0), (x.T @ error).ravel()])


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("noisy_finetune", {}),
        ("model_clipping", {"form": "after"}),
        ("model_clipping", {"form": "before", "grad_clip": 0.2}),
    ],
)
def test_two_steps_by_hand(name, fields, monkeypatch):
    """The whole retain set is one batch; the noise is 0.3 everywhere."""
    monkeypatch.setattr(noise, "draw", lambda key, params: jax.tree.map(jnp.ones_like, params))
    found = flat(go(name, sigma=0.3, noisy_steps=2, **fields).variables.params)
    variables, sources, split = problem(4, 10)
    x = np.asarray(sources["train"].x)[split.retain].reshape(10, WIDTH).astype(float)
    y = np.asarray(sources["train"].y)[split.retain]
    w = clip(flat(variables.params), 1.0)
    before = fields.get("form") == "before"
    if before:
        w = clip(w, 0.3)
    for _ in range(2):
        g = gradient(w, x, y)
        if name == "noisy_finetune":
            w = w - 0.1 * (clip(g, 0.2) + 2.0 * w) + 0.3
        elif before:
            w = clip(w - 0.1 * clip(g + 2.0 * w, 0.2) + 0.3, 0.3)
        else:
            w = clip(w - 0.1 * (g + 2.0 * w), 0.3) + 0.3
    np.testing.assert_allclose(found, w, rtol=1e-5, atol=1e-6)


def test_the_noise_of_no_two_steps_is_the_same():
    """Steps that go nowhere leave the noise alone: over many runs the deviation is that of independent draws."""
    fields = {"grad_clip": 1e-9, "init_clip": 1e-9, "noisy_rate": 0.1, "noisy_decay": 0.1}
    found = [
        flat(go("noisy_finetune", k, sigma=1.0, noisy_steps=9, **fields).variables.params)
        for k in range(20)
    ]
    expected = math.sqrt(sum(0.99 ** (2 * k) for k in range(9)))
    assert np.std(found) == pytest.approx(expected, rel=0.1)
    one = go("model_clipping", sigma=1.0, noisy_steps=2, model_clip=1e-9)
    other = go("model_clipping", sigma=1.0, noisy_steps=1, model_clip=1e-9)
    assert (flat(one.variables.params) != flat(other.variables.params)).all()


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("batch_size", [3, 10])
def test_there_are_exactly_so_many_steps(name, batch_size):
    done = go(name, sigma=0.5, noisy_steps=7, batch_size=batch_size)
    assert sum(entry["steps"] for entry in done.history) == 7
    assert done.certificate["steps"] == 7


def test_forgotten_rows_enter_by_the_clipped_weights_alone():
    """Weights of one direction and different lengths are one network after the clipping."""
    variables, sources, split = problem(4, 10)
    method = noisy_finetune.make(
        noisy_finetune.Config(epochs=1, batch_size=5, noisy_steps=3), MODEL
    )
    far = jax.tree.map(lambda leaf: 7 * leaf, variables)
    ends = [
        run(method, MODEL, start, sources, split, key=jax.random.key(0)).variables
        for start in (variables, far)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *ends)


@pytest.mark.parametrize(
    ("name", "fields", "epsilon"),
    [
        ("noisy_finetune", {"noisy_steps": 5}, 1.0),
        ("noisy_finetune", {"noisy_steps": 5, "noise": "decreasing", "epsilon": 2.0}, 2.0),
        ("noisy_finetune", {"noisy_steps": 5, "conversion": "rdp"}, 1.0),
        ("noisy_finetune", {"noisy_steps": None, "sigma": 3.0}, None),
        ("model_clipping", {"noisy_steps": 5, "sigma": None}, 1.0),
        ("model_clipping", {"noisy_steps": 1, "sigma": 1.0}, None),
        ("model_clipping", {"start_sigma": 3.0, "sigma": 1.0}, 1.0),
        ("output_perturbation", {"epsilon": 0.5}, 0.5),
    ],
)
def test_certificates(name, fields, epsilon):
    module = METHODS[name]
    config = module.Config(**(NOISY.get(name, {}) | fields))
    found = module.make(config, MODEL).certificate(problem(1, 3)[2])
    assert found["delta"] == config.delta and found["steps"] >= 1
    assert any("seed" in line for line in found["assumed"])
    if epsilon is not None:
        assert found["epsilon"] == pytest.approx(epsilon, rel=1e-6)
    if name == "noisy_finetune":
        assert found[f"epsilon_{config.conversion}"] == found["epsilon"]
        assert found["epsilon_gdp"] < found["epsilon_rdp"]
    if fields.get("noisy_steps", 0) is None:
        assert found["epsilon"] <= config.epsilon


def test_what_the_released_noise_certifies():
    """Its "epsilon = 1" is 6.57, or 7.08 by the conversion that it means."""
    for preset in noisy_finetune.PRESETS.values():
        config = noisy_finetune.Config(**preset.fields)
        found = noisy_finetune.make(config, MODEL).certificate(None)
        assert found["epsilon_rdp"] == pytest.approx(7.0771967, rel=1e-6)
        assert found["epsilon"] == pytest.approx(epsilon_of(math.sqrt(2), 1e-5))
    (preset,) = output_perturbation.PRESETS.values()
    config = output_perturbation.Config(**preset.fields)
    assert output_perturbation.make(config, MODEL).certificate(None)["epsilon"] < 1


def test_output_perturbation_is_a_draw_around_the_clipped_weights():
    found = [
        flat(go("output_perturbation", key, sigma=0.2, init_clip=0.5).variables.params)
        for key in range(40)
    ]
    centre = clip(flat(problem(4, 10)[0].params), 0.5)
    np.testing.assert_allclose(np.mean(found, 0), centre, atol=0.2)
    assert np.std(found - centre) == pytest.approx(0.2, rel=0.15)


@pytest.mark.parametrize("name", [*NOISY, "output_perturbation"])
def test_repair_trains_on_retain_data(name):
    done = go(name, epochs=40, learning_rate=0.5, sigma=1.0)
    assert done.history[-1]["loss"] < 0.5 * done.history[-40]["loss"]


@pytest.mark.parametrize("name", [*NOISY, "output_perturbation"])
def test_running_statistics_are_refused(name):
    method = METHODS[name].make(METHODS[name].Config(), MODEL)
    variables, sources, split = problem(4, 10)
    normed = variables._replace(stats={"batch_stats": {"mean": jnp.zeros(3)}})
    with pytest.raises(ConfigError, match=f"{name}: .*running statistics.* a network without"):
        run(method, MODEL, normed, sources, split, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("module", "fields", "said"),
    [
        (noisy_finetune, {"noisy_rate": 0.1, "noisy_decay": 20.0}, r"is 2; between 0 and 1"),
        (noisy_finetune, {"keep": "best_test"}, 'keep = "best_test" has no certificate'),
        (noisy_finetune, {"noisy_steps": None}, "give sigma or noisy_steps"),
        (noisy_finetune, {"noise": "decreasing", "noisy_steps": None}, "needs noisy_steps"),
        (
            noisy_finetune,
            {"noise": "decreasing", "noisy_rate": 0.1, "noisy_decay": 10.0},
            "below 1; it is 1",
        ),
        (noisy_finetune, {"noisy_steps": None, "sigma": 1e-3}, "more noise is needed"),
        (model_clipping, {"sigma": None}, "give sigma or noisy_steps"),
        (output_perturbation, {"keep": "best_validation"}, "has no certificate"),
    ],
)
def test_settings_without_a_theorem_are_refused(module, fields, said):
    with pytest.raises(ConfigError, match=said):
        module.make(module.Config(**fields), MODEL)


def test_no_decay_is_allowed():
    config = noisy_finetune.Config(noisy_decay=0.0)
    found = noisy_finetune.make(config, MODEL).certificate(None)
    assert found["epsilon"] == pytest.approx(1.0)
    assert dataclasses.asdict(config)["noisy_decay"] == 0


def test_a_ball():
    tree = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
    assert norm(noise.ball(tree, 2.5)) == pytest.approx(2.5)
    assert norm(noise.ball(tree, 6.0)) == 5 and norm(noise.ball({"a": jnp.zeros(2)}, 1.0)) == 0
