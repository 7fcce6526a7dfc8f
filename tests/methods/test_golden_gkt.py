"""GKT against reference numbers in float64: its losses, and a step of the generator and one of the student."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from junlearn.methods import gkt
from junlearn.models.generator import make_generator
from junlearn.models.modules import Conv, Dense
from junlearn.parts import losses
from junlearn.types import Data, Model, Split, Variables
from tests.golden_nets import close

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


def test_golden_losses(golden, float64):
    case = golden("jit_ssd/gkt_losses")
    forgotten = jnp.arange(case["z_teacher"].shape[1]) == case["forget_class"]
    keep = gkt.gate(case["z_teacher"], forgotten, float(case["threshold"]))
    np.testing.assert_array_equal(keep, case["mask"])
    shapes = {i: case[f"act_student{i}"].shape for i in range(len(case["at_terms"]))}
    # A layer without image axes has a map of ones, so no gap.
    maps = [i for i, shape in shapes.items() if len(shape) == 4]
    activations = [case[f"act_student{i}"] for i in maps]
    temperature = float(case["temperature"])

    def student(z, activations):
        value = gkt.transfer(case["z_teacher"], z, keep, temperature, "element")
        gaps = [
            losses.attention_gap(h, case[f"act_teacher{i}"], keep)
            for i, h in zip(maps, activations, strict=True)
        ]
        return value + case["beta"] * sum(gaps), (value, gaps)

    grad = jax.jit(jax.value_and_grad(student, argnums=(0, 1), has_aux=True))
    (value, (kl, gaps)), (slope_z, slopes) = grad(case["z_student"], activations)
    close(value, case["loss_student"])
    close(kl, case["loss_student_no_at"])
    close(-kl, case["loss_generator"])
    terms = np.zeros(len(shapes))
    terms[maps] = gaps
    close(terms, case["at_terms"])
    close(losses.attention_map(activations[0])[keep], case[f"attention_student{maps[0]}"])
    close(slope_z[keep], case["grad_z_student"])
    for i, slope in zip(maps, slopes, strict=True):
        close(slope[keep], case[f"grad_act{i}"])
    assert not np.any(slope_z[~keep]) and not np.any(slopes[0][~keep])
    batch = gkt.transfer(case["z_teacher"], case["z_student"], keep, temperature, "batch")
    close(batch, len(forgotten) * kl)


class Net(nn.Module):
    """Convolution, relu (its output a feature), three times the mean over the positions, linear."""

    channels: int
    classes: int

    @nn.compact
    def __call__(self, x):
        h = nn.relu(Conv(self.channels, (3, 3), padding=((1, 1), (1, 1)), name="conv")(x))
        return Dense(self.classes, name="fc")(3 * h.mean((1, 2))), {"conv": h}


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
    """The case, its generator, and the states and metrics of a generator step and a student step."""
    case = golden("jit_ssd/gkt_steps")
    rows, latent = case["z"].shape
    size, depth = 4 * int(case["init_size"]), case["g_conv_K"].shape[-1]
    image = (size, size, depth)
    channels = (*case["g_ct1_K"].shape[2:], case["g_ct2_K"].shape[-1])
    config = gkt.Config(
        generator_steps=1,
        student_steps=1,
        batch_size=rows,
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
        latent=latent,
        channels=channels,
    )
    model = Model.from_linen(Net(*case["t_W"].shape), layers=("conv", "fc"))
    sources = {"train": Data(jnp.zeros((1, *image)), jnp.zeros(1, jnp.int32))}
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
        state, values = update(states[-1], image, 0 * state.latent, jax.random.key(1))
        states.append(state)
        metrics.append(values)
    return case, make_generator(image, latent, channels), states, metrics


def test_golden_steps(stepped):
    case, generator, (before, first, second), metrics = stepped
    images = [generator.apply(s.generator, case["z"])[0] for s in (before, first)]
    close(images[0], case["x1"])
    close(images[1], case["x2"])
    close(metrics[0]["loss"], case["loss_generator"])
    close(metrics[1]["loss"], case["loss_student"])
    # A share of the rows, in float32.
    close(metrics[0]["kept"], case["mask1"].mean(), 1e-6)
    close(metrics[1]["kept"], case["mask2"].mean(), 1e-6)
    expected = tree(GENERATOR, case, "g_", "_out")
    close(first.generator.params, expected)
    close(first.student, before.student)
    close(second.generator.params, expected)
    close(second.student.params, network(case, "s_", "_out"))
    # After the first call; the number of values in a batch is kept in float32.
    stats = first.generator.stats["batch_stats"]
    close(stats, running(case, "_out"), 1e-6)
    assert (int(second.accepted), int(second.calls)) == (2, 2)
