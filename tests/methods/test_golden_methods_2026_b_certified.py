"""Parity with reference numbers of the certified methods. The cases add one given noise vector in all steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.batches import gather, specify
from junlearn.methods import langevin, model_clipping, noisy_finetune, output_perturbation
from junlearn.models import MODELS
from junlearn.parts import noise
from junlearn.parts.accounting import released
from junlearn.parts.accounting.mechanisms import GradientClipping
from junlearn.types import Data, Feed, Model, Split, Variables
from tests.golden_nets import VIEWS, close, drive

pytestmark = pytest.mark.parity
NAMES = {"dense1": "1", "head": "2"}
"""Layers of the network of all cases."""


@pytest.fixture(params=["float64", "float32"])
def tolerance(request):
    """What this precision is held to."""
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


def weights(case, suffix=""):
    return {
        layer: {
            "kernel": jnp.asarray(case[f"W{number}{suffix}"]),
            "bias": jnp.asarray(case[f"b{number}{suffix}"]),
        }
        for layer, number in NAMES.items()
    }


def numbers(case):
    return {name: float(case[name]) for name in case if case[name].ndim == 0}


def network(case):
    hidden, classes = case["W2"].shape
    mlp = MODELS["mlp"]
    return mlp.make(mlp.Config(hidden=(hidden,)), classes, case["x"].shape[2:])


def steps_of(module, config, case, start, drawn, monkeypatch):
    """The weights after each of the case's batches, from `start`, with the noise `drawn` in every step."""
    monkeypatch.setattr(noise, "draw", lambda key, params: drawn)
    method = module.make(config, network(case))
    steps, rows = case["y"].shape
    data = Data(
        jnp.asarray(case["x"].reshape(-1, *case["x"].shape[2:])), jnp.asarray(case["y"]).ravel()
    )
    split = Split(np.zeros(0, int), np.arange(steps * rows), np.zeros(0, int), np.zeros(0, int))
    state = method.init(jax.random.key(0), Variables(start, {}), {"train": data}, split)
    began, after = state.variables.params, []
    # The start of a case may be another one than that of the method.
    state = state._replace(variables=Variables(start, {}))
    stage = method.plan(split)[0]
    for index in np.arange(steps * rows).reshape(steps, 1, rows):
        feed = Feed(index.astype(np.int32), np.ones_like(index, bool))
        state, _ = drive(stage, state, {"train": data}, feed)
        after.append(state.variables.params)
    return method, began, after


@pytest.mark.parametrize("kind", ["constant", "decreasing"])
def test_noisy_finetune(kind, golden, tolerance, monkeypatch):
    case = golden("methods_2026_b/noisy_clipped_finetune")
    given = numbers(case)
    clips = (given["init_clip"], given["grad_clip"], given["step"], given["decay"])
    mechanism = GradientClipping(*clips)
    steps = released.released_steps(mechanism)
    assert steps == given["steps_released"]
    budget = given["renyi_per_alpha"]
    sigmas = released.decreasing_sigmas(mechanism, steps, budget)
    if kind == "constant":
        sigmas = [released.released_sigma(mechanism, steps, budget)] * steps
    np.testing.assert_allclose(sigmas[: len(case["y"])], case[f"sigma_{kind}"], rtol=1e-12)
    config = noisy_finetune.Config(
        noise=kind,
        sigma=sigmas[-1],
        delta=given["delta"],
        init_clip=given["init_clip"],
        grad_clip=given["grad_clip"],
        noisy_rate=given["step"],
        noisy_decay=given["decay"],
        noisy_steps=steps,
        epochs=0,
    )
    start = weights(case, "_clipped")
    drawn = weights(case, "_noise")
    close(noise.ball(weights(case), given["init_clip"]), start, tolerance)
    method, began, after = steps_of(noisy_finetune, config, case, start, drawn, monkeypatch)
    close(began, start, tolerance)
    for number, found in enumerate(after, start=1):
        close(found, weights(case, f"_step{number}_{kind}"), tolerance)
    assert method.certificate(None)["mu"] ** 2 / 2 == pytest.approx(budget)


@pytest.mark.parametrize("form", ["after", "before"])
def test_model_clipping(form, golden, tolerance, monkeypatch):
    case = golden("methods_2026_b/model_clipping")
    given = numbers(case)
    steps = len(case["y"])
    config = model_clipping.Config(
        form=form,
        sigma=given["sigma"],
        start_sigma=given["sigma0"],
        init_clip=given["init_clip"],
        model_clip=given["model_clip"],
        grad_clip=given["grad_clip_before"],
        noisy_rate=given["step"],
        noisy_decay=given["decay"],
        noisy_steps=steps,
        epochs=0,
    )
    start, drawn = weights(case, f"_start_{form}"), weights(case, f"_noise_{form}")
    first = weights(case, f"_noise0_{form}")
    begun = model_clipping.begun(config, weights(case), first)
    # The release's other form begins outside of the ball that its bound is for.
    close(begun, noise.ball(start, given["model_clip"]) if form == "before" else start, tolerance)
    _, _, after = steps_of(model_clipping, config, case, start, drawn, monkeypatch)
    for number, found in enumerate(after, start=1):
        close(found, weights(case, f"_step{number}_{form}"), tolerance)


def test_output_perturbation(golden, tolerance):
    case = golden("methods_2026_b/output_perturbation")
    given = numbers(case)
    sigma = released.classic_sigma(given["init_clip"], given["epsilon"], given["delta"])
    assert sigma == pytest.approx(given["sigma_classic"], rel=1e-12)
    noisy = weights(case, "_noise")
    found = output_perturbation.perturbed(weights(case), noisy, given["init_clip"], sigma)
    close(found, weights(case, "_out"), tolerance)


def test_langevin(golden, tolerance, monkeypatch):
    """Logistic regression is a softmax of 0 and one linear output."""
    case = golden("methods_2026_b/langevin_logistic")
    x, labels = case["X"], (case["y"] > 0).astype(np.int32)

    def apply(variables, x, *, train=False, key=None, mask=None):
        z = x @ variables.params["head"]
        return jnp.stack([jnp.zeros_like(z), z], 1), {}, {}

    model = Model(lambda key, x: Variables({"head": jnp.zeros(x.shape[1])}, {}), apply)
    rows, none = np.arange(len(x)), np.zeros(0, int)
    config = langevin.Config(
        form="released",
        original="noisy",
        sigma=float(case["sigma"]),
        lam=float(case["lam"]),
        learning_rate=float(case["step"]),
        grad_clip=float(case["clip"]),
        radius=2.0,
        batch_size=len(x),
        unlearn_epochs=1,
    )
    method = langevin.make(config, model)
    source = {"train": Data(jnp.asarray(x), jnp.asarray(labels))}
    split = Split(none, rows, none, none)
    start = Variables({"head": jnp.asarray(case["w0"])}, {})
    state = method.init(jax.random.key(0), start, source, split)
    stage = method.plan(split)[0]
    keys = [jax.random.fold_in(state.key, step) for step in range(len(case["noise"]))]
    known = jnp.stack([jax.random.key_data(key) for key in keys])

    def draw(key, params):
        """The noise of the step whose key this is."""
        found = (known == jax.random.key_data(key)[None]).all(1).argmax()
        return {"head": jnp.asarray(case["noise"])[found]}

    monkeypatch.setattr(noise, "draw", draw)
    feed = stage.feed(np.random.default_rng(0), state)
    spec, batches = specify(feed)
    batch = gather(spec, jax.tree.map(lambda a: a[0], batches), source, VIEWS, jax.random.key(0))
    step = jax.jit(stage.step)
    for expected in case["w_steps"]:
        state, _ = step(state, batch)
        close(state.variables.params["head"], jnp.asarray(expected), tolerance)
