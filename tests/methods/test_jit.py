"""JiT: parity with reference numbers in float64, the gradients of a linear map, and what its fields do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import jit
from junlearn.parts import descent
from junlearn.parts.descent import updater
from junlearn.types import Batch, Data, Model, Variables
from tests.golden_nets import network, params


def close(ours, reference, rtol=1e-9, floor=1e-14):
    def leaf(a, b):
        # The full gradient of a bias behind the last nonlinearity is 0 but for rounding.
        atol = max(rtol * float(np.abs(b).max()), floor)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)

    jax.tree.map(leaf, ours, reference)


def batch_of(x, spare=0):
    """All rows of `x`, and `spare` masked ones with extreme values."""
    x = jnp.concatenate([jnp.asarray(x), jnp.full((spare, *x.shape[1:]), 1e3, x.dtype)])
    rows = len(x)
    return Batch(x, jnp.zeros(rows, jnp.int32), jnp.arange(rows), jnp.arange(rows) < rows - spare)


def given(noise, spare=0):
    """Perturbations in the place of the keys they would be drawn with."""
    keys = jit.draw(jax.random.key(0), len(noise))
    extra = jnp.zeros((len(noise), spare, *noise.shape[2:]), noise.dtype)
    return keys._replace(source=jnp.concatenate([jnp.asarray(noise), extra], axis=1))


def steps(config, model, variables, data):
    """The state after each update with given noise, and its metrics."""
    update = jax.jit(
        updater(jit.objective(config, model, lambda e, batch: e), jit.sgd(config, model))
    )
    state = descent.init(jax.random.key(0), variables, jit.sgd(config, model))
    for batch, noise in data:
        state, metrics = update(state, batch, noise)
        yield state, metrics


@pytest.mark.parity
@pytest.mark.parametrize("gradient", ["sg", "full"])
@pytest.mark.parametrize("buffer", ["accum", "clean"])
def test_reference_variants(gradient, buffer, golden, float64):
    case = golden("jit_ssd/jit_mlp")
    model, variables = network("mlp", case)
    name = f"{gradient}_{buffer}"
    eta = float(case["eta"])
    config = jit.Config(
        learning_rate=eta,
        sigma=float(case["sigma"]),
        stop_gradient=gradient == "sg",
        accumulate_gradients=buffer == "accum",
        train_mode=True,
        clip="batch",
        perturbations=int(case["n_samples"]),
    )
    count = len(case[f"loss_{name}"])
    stages = [*(f"step{i}" for i in range(1, count)), "out"]
    # Masked rows far outside of the range must not widen it.
    data = [(batch_of(case[f"x{i}"], i), given(case[f"E{i}"], i)) for i in range(1, count + 1)]
    before = variables.params
    for i, (state, metrics) in enumerate(steps(config, model, variables, data)):
        for value in ("loss", "in_norm", "out_norm"):
            close(metrics[value], case[f"{value}_{name}"][i])
        after = state.variables.params
        close(after, params("mlp", case, f"_{stages[i]}_{name}"))
        used = jax.tree.map(lambda a, b: (a - b) / eta, before, after)
        # A weight's last digit is a gradient of that digit over the rate.
        digit = np.finfo(float).eps * max(float(abs(w).max()) for w in jax.tree.leaves(before))
        reference = params("mlp", case, f"_grad{i + 1}_{name}")
        close(used, reference, rtol=1e-8, floor=max(1e-14, 2 * digit / eta))
        before = after


def linear(kernel):
    """f(x) = x W, without bias."""

    def apply(variables, x, *, train=False, key=None, mask=None):
        return x @ variables.params["w"], {}, variables.stats

    return Model(lambda key, x: None, apply), Variables({"w": jnp.asarray(kernel)}, {})


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_gradient_of_a_linear_map(stop_gradient, float64):
    """One example, one perturbation: u x^T / |xi| with the gradient stopped, u (x - x')^T / |xi| without."""
    rng = np.random.default_rng(0)
    w, x, e = rng.normal(size=(6, 3)), rng.normal(size=(1, 6)), rng.normal(size=(1, 1, 6))
    model, variables = linear(w)
    config = jit.Config(learning_rate=1.0, sigma=0.1, stop_gradient=stop_gradient)
    state, metrics = next(steps(config, model, variables, [(batch_of(x), given(e))]))
    xi = 0.1 * e[0, 0]
    u = -xi @ w / np.linalg.norm(xi @ w)
    reach = x[0] if stop_gradient else -xi
    gradient = np.outer(reach, u) / np.linalg.norm(xi)
    close(w - state.variables.params["w"], gradient)
    close(metrics["loss"], np.linalg.norm(xi @ w) / np.linalg.norm(xi))


@pytest.mark.parametrize(("stop_gradient", "made"), [(True, 3), (False, 6)])
def test_perturbed_passes_are_made_again_for_their_gradient_alone(stop_gradient, made, float64):
    rng = np.random.default_rng(0)
    model, variables = linear(rng.normal(size=(6, 3)))
    config = jit.Config(perturbations=3, stop_gradient=stop_gradient)
    passes = []

    def perturbation(source, batch):
        jax.debug.callback(lambda key: passes.append(key), jax.random.key_data(source))
        return jnp.ones_like(batch.x)

    update = updater(jit.objective(config, model, perturbation), jit.sgd(config, model))
    state = descent.init(jax.random.key(0), variables, jit.sgd(config, model))
    jax.jit(update)(state, batch_of(rng.normal(size=(2, 6))), jit.draw(jax.random.key(0), 3))
    jax.effects_barrier()
    assert len(passes) == made


def test_reductions_and_clipping_by_hand(float64):
    rng = np.random.default_rng(1)
    w, x, e = rng.normal(size=(4, 3)), rng.normal(size=(5, 4)), rng.normal(size=(2, 5, 4))
    model, variables = linear(w)

    def value(**fields):
        config = jit.Config(sigma=0.7, **fields)
        return next(steps(config, model, variables, [(batch_of(x, 2), given(e, 2))]))[1]

    def expected(low, high):
        xi = np.clip(x + 0.7 * e, low, high) - x
        return np.linalg.norm(xi @ w, axis=-1) / np.linalg.norm(xi, axis=-1)

    free, image = expected(-np.inf, np.inf), expected(x.min(1)[:, None], x.max(1)[:, None])
    close(value()["loss"], free.mean(0).sum())
    close(value(reduction="mean")["loss"], free.mean())
    close(value(clip="image")["loss"], image.mean(0).sum())
    close(value(clip="batch")["loss"], expected(x.min(), x.max()).mean(0).sum())


def unlearned(problem, config, **replaced):
    problem = problem._replace(**replaced)
    return run(
        jit.make(config, problem.model),
        problem.model,
        problem.variables,
        problem.sources,
        problem.split,
        key=jax.random.key(0),
    ).variables


QUICK = jit.Config(perturbations=2, batch_size=5, learning_rate=0.01)


def test_a_rate_of_zero_is_the_identity(mlp):
    after = unlearned(mlp, dataclasses.replace(QUICK, learning_rate=0.0))
    jax.tree.map(np.testing.assert_array_equal, after, mlp.variables)


def test_labels_do_not_matter_and_the_forget_set_is_read_in_order(mlp):
    train = mlp.sources["train"]
    permuted = Data(train.x, np.random.default_rng(0).permutation(train.y))
    sources = {**mlp.sources, "train": permuted}
    first, second = unlearned(mlp, QUICK), unlearned(mlp, QUICK, sources=sources)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    feed = jit.make(QUICK, mlp.model).plan(mlp.split)[0].feed(np.random.default_rng(0), None)
    np.testing.assert_array_equal(feed.index[feed.mask], mlp.split.forget)


def test_noise_of_an_image_does_not_depend_on_its_batch():
    key = jax.random.key(4)
    x = np.zeros((5, 3, 3, 1), np.float32)
    whole, part = batch_of(x), batch_of(x[2:4])
    part = part._replace(index=jnp.array([3, 2]))
    noise = jit.gaussian(key, whole)
    np.testing.assert_array_equal(jit.gaussian(key, part), noise[jnp.array([3, 2])])
    assert np.unique(noise).size == noise.size


def test_train_mode_carries_the_running_statistics():
    """Each of the N + 1 passes of a batch moves them, as in the released code; in eval mode they stay."""

    def apply(variables, x, *, train=False, key=None, mask=None):
        assert (key is not None) == (mask is not None) == train
        return x @ variables.params["w"], {}, {"passes": variables.stats["passes"] + train}

    model = Model(lambda key, x: None, apply)
    variables = Variables({"w": jnp.ones((4, 3))}, {"passes": jnp.zeros((), jnp.int32)})
    noise = np.ones((2, 5, 4), np.float32)
    data = [(batch_of(np.ones((5, 4), np.float32)), given(noise))] * 2
    for train_mode, passes in ((True, 6), (False, 0)):
        config = jit.Config(train_mode=train_mode)
        *_, (state, _) = steps(config, model, variables, data)
        assert state.variables.stats["passes"] == passes


def test_the_last_layers_alone_move_as_they_would_with_the_others(convnet):
    """One batch of the whole forget set: its step is the same, and the layers before have no part in it."""
    whole = dataclasses.replace(QUICK, batch_size=len(convnet.split.forget), stop_gradient=True)
    everything = unlearned(convnet, whole).params
    for k, layers in ((1, {"head"}), (2, {"fc1", "head"})):
        part = unlearned(convnet, dataclasses.replace(whole, k=k)).params
        for name, before in convnet.variables.params.items():
            expected = everything[name] if name in layers else before
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-6), part[name], expected)
            changed = [
                np.any(a != b)
                for a, b in zip(jax.tree.leaves(part[name]), jax.tree.leaves(before), strict=True)
            ]
            assert all(changed) if name in layers else not any(changed)


def test_train_mode_is_that_of_the_trained_layers(convnet):
    config = dataclasses.replace(QUICK, train_mode=True)
    stats = convnet.variables.stats
    kept = unlearned(convnet, dataclasses.replace(config, k=2)).stats
    jax.tree.map(np.testing.assert_array_equal, kept, stats)
    moved = jax.tree.map(np.array_equal, unlearned(convnet, config).stats, stats)
    assert not any(jax.tree.leaves(moved))


def test_a_number_of_layers_that_does_not_exist_is_refused(convnet):
    with pytest.raises(ConfigError, match="exactly 9 weight layers: choose one of 1, 2, 3, 4"):
        jit.make(dataclasses.replace(QUICK, k=9), convnet.model)
