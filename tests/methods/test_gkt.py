"""GKT: losses, the generator and one step of each kind against reference numbers, the gate, the cycle, limits."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import gkt
from junlearn.models.generator import make_generator, transposed_conv
from junlearn.models.modules import Conv, Dense
from junlearn.parts import losses
from junlearn.types import Data, Model, Split, Variables
from tests.conftest import make_problem
from tests.golden_nets import Cnn, drive

NONE = np.zeros(0, int)
TINY = {
    "generator_steps": 1,
    "student_steps": 2,
    "batch_size": 8,
    "threshold": 1.0,
    "latent": 4,
    "channels": (4, 4, 4),
}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def close(ours, reference, rtol=1e-9):
    np.testing.assert_allclose(ours, reference, rtol=rtol, atol=rtol * np.abs(reference).max())


# --- losses ---


def test_golden_losses(golden, float64):
    case = golden("jit_ssd/gkt_losses")
    forgotten = jnp.arange(case["z_teacher"].shape[1]) == case["forget_class"]
    keep = gkt.gate(case["z_teacher"], forgotten, float(case["threshold"]))
    np.testing.assert_array_equal(keep, case["mask"])
    activations = [case[f"act_student{i}"] for i in range(2)]

    def student(z, activations):
        value = gkt.transfer(case["z_teacher"], z, keep, float(case["temperature"]), "element")
        gaps = [
            losses.attention_gap(h, case[f"act_teacher{i}"], keep)
            for i, h in enumerate(activations)
        ]
        return value + case["beta"] * sum(gaps), (value, gaps)

    grad = jax.jit(jax.value_and_grad(student, argnums=(0, 1), has_aux=True))
    (value, (kl, gaps)), (slope_z, slopes) = grad(case["z_student"], activations)
    close(value, case["loss_student"])
    close(kl, case["loss_student_no_at"])
    close(-kl, case["loss_generator"])
    close(np.array([*gaps, 0.0]), case["at_terms"])
    close(losses.attention_map(activations[0])[keep], case["attention_student0"])
    close(slope_z[keep], case["grad_z_student"])
    for i, slope in enumerate(slopes):
        close(slope[keep], case[f"grad_act{i}"])
    assert not np.any(slope_z[~keep]) and not np.any(slopes[0][~keep])
    batch = gkt.transfer(case["z_teacher"], case["z_student"], keep, 1.0, "batch")
    close(batch, len(forgotten) * kl)


def test_attention_of_a_blank_image_has_a_gradient():
    blank, other = jnp.zeros((1, 2, 2, 3)), jnp.ones((1, 2, 2, 3))
    value, slope = jax.value_and_grad(losses.attention_gap)(blank, other, jnp.ones(1, bool))
    assert value == pytest.approx(0.25) and np.all(np.isfinite(slope))


def test_gate_adds_the_forgotten_classes():
    logits = jnp.log(jnp.array([[0.1, 0.1, 0.8], [0.3, 0.1, 0.6]]))
    forgotten = jnp.array([True, True, False])
    np.testing.assert_array_equal(gkt.gate(logits, forgotten, 0.25), [True, False])


# --- the generator ---


def test_transposed_convolution_by_hand():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(4, 4, 4, 5))
    expected = np.zeros((2, 2 * 3 + 2, 2 * 2 + 2, 5))  # a rim of one on each side
    for i in range(3):
        for j in range(2):
            patch = np.einsum("bc,klcd->bkld", x[:, i, j], kernel)
            expected[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += patch
    ours = transposed_conv(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(ours, expected[:, 1:-1, 1:-1], rtol=0, atol=1e-5)


def test_generator_of_28_by_28_has_the_published_widths():
    generator = make_generator((28, 28, 1), 128)
    params = jax.eval_shape(generator.init, jax.random.key(0)).params
    shapes = jax.tree.map(lambda leaf: leaf.shape, params)
    assert shapes["dense"]["kernel"] == (128, 64 * 49)
    assert shapes["up1"]["kernel"] == (4, 4, 64, 64) and shapes["up2"]["kernel"] == (4, 4, 64, 32)
    assert shapes["conv"]["kernel"] == (3, 3, 32, 1) and shapes["norm3"]["scale"] == (1,)


def test_generator_refuses_a_size_that_is_no_multiple_of_four():
    with pytest.raises(ConfigError, match="must divide by 4, not 30×28"):
        make_generator((30, 28, 1), 8)


# --- one step of each kind ---


class Net(nn.Module):
    """Convolution, relu (its output a feature), three times the mean over the positions, linear."""

    @nn.compact
    def __call__(self, x):
        h = nn.relu(Conv(4, (3, 3), padding=((1, 1), (1, 1)), name="conv")(x))
        return Dense(5, name="fc")(3 * h.mean((1, 2))), {"conv": h}


GENERATOR = {
    ("dense", "kernel"): "W",
    ("dense", "bias"): "b",
    ("up1", "kernel"): "ct1_K",
    ("up1", "bias"): "ct1_b",
    ("up2", "kernel"): "ct2_K",
    ("up2", "bias"): "ct2_b",
    ("conv", "kernel"): "conv_K",
    ("conv", "bias"): "conv_b",
    **{(f"norm{i}", "scale"): f"bn{i}_gamma" for i in range(4)},
    **{(f"norm{i}", "bias"): f"bn{i}_beta" for i in range(4)},
}


def tree(names, case, prefix, suffix=""):
    params: dict = {}
    for (layer, leaf), name in names.items():
        params.setdefault(layer, {})[leaf] = jnp.asarray(case[f"{prefix}{name}{suffix}"])
    return params


def network(case, prefix, suffix=""):
    names = {
        ("conv", "kernel"): "K",
        ("conv", "bias"): "bk",
        ("fc", "kernel"): "W",
        ("fc", "bias"): "b",
    }
    return tree(names, case, prefix, suffix)


def running(case, suffix=""):
    return {
        f"norm{i}": {n: jnp.asarray(case[f"g_bn{i}_{n}{suffix}"]) for n in ("mean", "var")}
        for i in range(4)
    }


@pytest.fixture
def stepped(golden, float64):
    """The case, and the states and metrics of a generator step and a student step."""
    case = golden("jit_ssd/gkt_steps")
    config = gkt.Config(
        generator_steps=1,
        student_steps=1,
        batch_size=10,
        threshold=float(case["threshold"]),
        temperature=float(case["temperature"]),
        attention=float(case["beta"]),
        clip=float(case["clip"]),
        generator_learning_rate=float(case["lr"]),
        generator_momentum=float(case["momentum"]),
        student_learning_rate=float(case["lr"]),
        student_momentum=float(case["momentum"]),
        schedule="constant",
        student="teacher",
        reduction="element",
        latent=16,
        channels=(8, 8, 4),
    )
    model = Model.from_linen(Net(), layers=("conv", "fc"))
    sources = {"train": Data(jnp.zeros((1, 8, 8, 3)), jnp.zeros(1, jnp.int32))}
    split = Split(NONE, NONE, NONE, NONE, (int(case["forget_class"]),))
    teacher = Variables(network(case, "t_"), {})
    state = gkt.make(config, model).init(jax.random.key(0), teacher, sources, split)
    params = tree(GENERATOR, case, "g_")
    state = state._replace(
        generator=Variables(params, {"batch_stats": running(case)}),
        student=Variables(network(case, "s_"), {}),
        latent=jnp.asarray(case["z"]),
    )
    update = jax.jit(gkt.updater(config, model), static_argnums=1)
    states, metrics = [state], []
    for _ in range(2):
        state, values = update(states[-1], (8, 8, 3), 0 * state.latent, jax.random.key(1))
        states.append(state)
        metrics.append(values)
    return case, states, metrics


def test_golden_steps(stepped):
    case, (before, first, second), metrics = stepped
    generator = make_generator((8, 8, 3), 16, (8, 8, 4))
    images = [generator.apply(s.generator, case["z"])[0] for s in (before, first)]
    close(images[0], case["x1"])
    close(images[1], case["x2"])
    close(metrics[0]["loss"], case["loss_generator"])
    close(metrics[1]["loss"], case["loss_student"])
    close(metrics[0]["kept"], case["mask1"].mean())
    close(metrics[1]["kept"], case["mask2"].mean())
    expected = tree(GENERATOR, case, "g_", "_out")
    jax.tree.map(close, first.generator.params, expected)
    jax.tree.map(close, first.student, before.student)
    jax.tree.map(close, second.generator.params, expected)
    jax.tree.map(close, second.student.params, network(case, "s_", "_out"))
    # After the first call; the number of values in a batch is kept in float32.
    stats = first.generator.stats["batch_stats"]
    jax.tree.map(lambda a, b: close(a, b, 1e-6), stats, running(case, "_out"))
    assert (int(second.accepted), int(second.calls)) == (2, 2)


# --- the cycle ---


def states_of(problem, steps, **fields):
    """The states after each of a few iterations."""
    config = gkt.Config(**TINY | fields)
    method = gkt.make(config, problem.model)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    (stage,) = method.plan(problem.split)
    state = method.init(jax.random.key(0), problem.variables, sources, problem.split)
    feed = stage.feed(np.random.default_rng(0), state)
    states = [state]
    for _ in range(steps):
        one = feed._replace(index=feed.index[:1], mask=feed.mask[:1])
        states.append(drive(stage, states[-1], sources, one)[0])
    return states


def changed(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in pairs)


def test_cycle_alternates_and_ends(mlp):
    states = states_of(mlp, 8, pseudo_batches=2)
    pairs = list(itertools.pairwise(states))
    phases = [
        (changed(a.generator.params, b.generator.params), changed(a.student, b.student))
        for a, b in pairs
    ]
    cycle = [(True, False), (False, True), (False, True)]
    assert phases == [*cycle, *cycle, (False, False), (False, False)]
    redrawn = [changed(a.latent, b.latent) for a, b in pairs]
    assert redrawn == [False] * 3 + [True, False, False] + [True, False]
    assert [int(s.accepted) for s in states] == [0, 1, 2, 3, 4, 5, 6, 6, 6]


def test_nothing_kept_only_counts_the_call(mlp):
    before, after = states_of(mlp, 1, threshold=0.0)
    same = ("student", "student_optimizer", "generator_optimizer", "accepted", "latent", "teacher")
    for name in same:
        chex.assert_trees_all_equal(getattr(before, name), getattr(after, name))
    chex.assert_trees_all_equal(before.generator.params, after.generator.params)
    assert int(after.calls) == 1 and changed(before.generator.stats, after.generator.stats)


@pytest.mark.parametrize(("threshold", "steps"), [(1.0, 6), (0.0, 12)])
def test_ends_when_complete_or_at_the_cap(mlp, threshold, steps):
    config = gkt.Config(**TINY | {"threshold": threshold, "pseudo_batches": 2})
    problem = mlp
    done = run(
        gkt.make(config, problem.model),
        *(problem.model, problem.variables, problem.sources, problem.split),
        key=jax.random.key(0),
    )
    assert sum(entry["steps"] for entry in done.history) == steps


@pytest.fixture(scope="module")
def normed():
    """A convolution with BatchNorm on 4×4 images, class 1 to forget."""
    model = Model.from_linen(Cnn(4), layers=("conv", "norm", "fc"), input_shape=(4, 4, 1))
    sources = {"train": Data(jnp.zeros((2, 4, 4, 1)), jnp.zeros(2, jnp.int32))}
    return model, model.fresh(jax.random.key(0), sources), sources, Split(*(NONE,) * 4, (1,))


def begin(normed, **fields):
    model, variables, sources, split = normed
    config = gkt.Config(**TINY | fields)
    return config, gkt.make(config, model).init(jax.random.key(0), variables, sources, split)


def test_student_starts(normed):
    original = normed[1]
    chex.assert_trees_all_equal(begin(normed, student="teacher")[1].student, original)
    fresh = begin(normed, student="fresh")[1].student
    assert changed(fresh.params["fc"], original.params["fc"])
    mixed = begin(normed, student="convolutions")[1].student
    kernel = mixed.params["conv"]["kernel"]
    assert changed(kernel, original.params["conv"]["kernel"])
    assert 0.8 < np.abs(kernel).max() / np.sqrt(6 / (9 * (1 + 4))) <= 1
    for layer in ("norm", "fc"):
        chex.assert_trees_all_equal(mixed.params[layer], original.params[layer])
    chex.assert_trees_all_equal(mixed.stats, original.stats)
    chex.assert_trees_all_equal(mixed.params["conv"]["bias"], original.params["conv"]["bias"])


def test_dropped_rows_stay_out_of_batch_norm(normed):
    """The student's running statistics are those of the kept rows alone."""
    model, original = normed[:2]
    config, state = begin(normed, student="teacher")
    images, _ = make_generator((4, 4, 1), 4, (4, 4, 4)).apply(state.generator, state.latent)
    share = jax.nn.softmax(model.apply(state.teacher, images)[0])[:, 1]
    config = dataclasses.replace(config, threshold=float(np.sort(share)[3:5].mean()))
    state = state._replace(accepted=jnp.ones((), jnp.int32))
    update = jax.jit(gkt.updater(config, model), static_argnums=1)
    after, metrics = update(state, (4, 4, 1), state.latent, jax.random.key(0))
    assert metrics["kept"] == 0.5
    _, _, expected = model.apply(original, images[np.argsort(share)[:4]], train=True)
    chex.assert_trees_all_close(after.student.stats, expected, rtol=1e-4, atol=1e-6)


# --- mistakes ---


@pytest.mark.parametrize(
    ("size", "classes", "fields", "message"),
    [
        (4, (), {}, "needs a scenario that names them"),
        (5, (1,), {}, "must divide by 4, not 5×5"),
        (4, (1,), {"student": "convolutions"}, "no convolutions"),
    ],
)
def test_requests_that_it_cannot_serve(size, classes, fields, message):
    problem = make_problem("mlp", size=size, train=8, test=4)
    method = gkt.make(gkt.Config(**TINY, **fields), problem.model)
    split = problem.split._replace(classes=classes)
    with pytest.raises(ConfigError, match=message):
        method.init(jax.random.key(0), problem.variables, problem.sources, split)
