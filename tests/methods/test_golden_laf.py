"""LAF against reference numbers in float64: its autoencoder, its two losses, whole iterations, the repair."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.methods import laf
from junlearn.models.vae import make_vae
from junlearn.parts import descent
from junlearn.parts.descent import updater
from junlearn.types import Batch, Data, Split, Variables
from tests.golden_nets import close, network, params

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)
SETS = ("retain", "forget")
ADAM_B1 = 0.9


def vae_layers(case, prefix):
    """Layers of the autoencoder and their names in the case, and the widths of the encoder."""
    widths, number = [], 1
    while f"{prefix}WE{number}" in case:
        widths.append(case[f"{prefix}WE{number}"].shape[1])
        number += 1
    layers = {"mu": "Mu", "logvar": "Lv", "out": f"D{number}"}
    for k in range(1, number):
        layers |= {f"encoder{k}": f"E{k}", f"decoder{k}": f"D{k}"}
    return layers, tuple(widths)


def vae_params(case, prefix="", suffix="", kind=""):
    """Weights of an autoencoder, or with `kind="g_"` their gradients."""
    return {
        layer: {
            leaf: jnp.asarray(case[f"{kind}{prefix}{letter}{name}{suffix}"])
            for leaf, letter in (("kernel", "W"), ("bias", "b"))
        }
        for layer, name in vae_layers(case, prefix)[0].items()
    }


def golden_vae(case, prefix=""):
    return make_vae(vae_layers(case, prefix)[1], case[f"{prefix}WMu"].shape[1])


def gradient(moments):
    """The gradient of the first step, out of Adam's first moment."""
    tree = optax.tree.get(moments, "mu")
    return {
        name: jax.tree.map(lambda m: m / (1 - ADAM_B1), group)
        for name, group in tree.items()
        if jax.tree.leaves(group)
    }


def padded(values, size):
    """Rows of `values` and, up to `size`, rows that must not matter."""
    filler = np.full((size - len(values), *values.shape[1:]), 3.0)
    return jnp.asarray(np.concatenate([values, filler]))


def as_batch(x, first, size):
    index = np.minimum(first + np.arange(size), first + len(x) - 1)
    mask = np.arange(size) < len(x)
    return Batch(padded(x, size), jnp.zeros(size, int), index, mask)


def replay(kind, case, config, original=None, steps=None):
    """The two steps of LAF on the given batches and draws: the state after each, and the metrics.

    The arrays of a case with several steps have the step's number; without an autoencoder one of no weight serves.
    """
    model, variables = network(kind, case)
    vae = golden_vae(case, "r_") if "r_WE1" in case else make_vae(config.vae_hidden, config.latent)
    numbers = [""] if steps is None else [f"_{k}" for k in range(steps)]
    x = [{name: case[f"x_{name[0]}{k}"] for name in SETS} for k in numbers]
    size = max(len(rows) for pair in x for rows in pair.values())
    together = np.concatenate([rows for pair in x for rows in pair.values()])
    data = Data(jnp.asarray(together), jnp.zeros(1, int))
    method = laf.make(config, model)
    state = method.init(jax.random.key(0), variables, {"train": data}, None)
    table = model.apply(original or variables, data.x)[1]["embedding"]
    state = state._replace(original=table)
    if "r_WE1" in case:
        fits = [
            descent.init(jax.random.key(0), Variables(vae_params(case, p), {}), optax.adam(0.0))
            for p in ("r_", "f_")
        ]
        state = state._replace(vae_retain=fits[0], vae_forget=fits[1])
    update = jax.jit(laf.unlearner(config, model, vae))
    states, metrics, first = [], [], 0
    for k, pair in zip(numbers, x, strict=True):
        batch, noise = {}, {}
        for name, rows in pair.items():
            batch[name] = as_batch(rows, first, size)
            first += len(rows)
            eps = case.get(f"eps_{name[0]}{k}", np.zeros((size, config.latent)))
            noise[name] = padded(eps, size)
        state, values = update(state, batch, noise)
        states.append(state)
        metrics.append(values)
    return states, {n: np.array([m[n] for m in metrics]) for n in metrics[0]}


def test_vae(golden, float64):
    """Every loss of every batch of every epoch, the first gradient, every weight."""
    case = golden("laf_camu/laf_vae")
    model, variables = network("mlp", case)
    vae = golden_vae(case)
    tx = optax.adam(float(case["lr"]))
    update = jax.jit(updater(laf.vae_loss(vae, float(case["kl_weight"])), tx))
    state = descent.init(jax.random.key(0), Variables(vae_params(case), {}), tx)
    rows = {"loss": [], "reconstruction": [], "kl": []}
    epochs, batches = int(case["epochs"]), range(int(case["n_batches"]))
    size = max(case[f"x_{b}"].shape[1] for b in batches)
    for epoch in range(epochs):
        for b in batches:
            x, noise = case[f"x_{b}"][epoch], padded(case[f"eps_{b}"][epoch], size)
            e = model.apply(variables, padded(x, size))[1]["embedding"]
            if epoch == b == 0:
                r, mu, logvar = vae.apply(state.variables.params, e, noise)
                first = (r, mu, jnp.exp(logvar / 2), e)
                names = ("recon", "mu", "sigma", "emb")
                close(
                    [part[: len(x)] for part in first], [case[f"first_{n}"] for n in names], 1e-10
                )
            state, values = update(state, (e, np.arange(size) < len(x)), noise)
            for name in rows:
                rows[name].append(float(values[name]))
            if epoch == b == 0:
                slopes = jax.tree.map(lambda m: m / (1 - ADAM_B1), state.optimizer[0].mu)
                close(slopes, vae_params(case, kind="g_"))
                close(state.variables.params, vae_params(case, suffix="_step1"))
    for name, stored in (("loss", "loss"), ("reconstruction", "recon_loss"), ("kl", "kl")):
        close(np.reshape(rows[name], (epochs, len(batches))), case[stored], 1e-10)
    close(state.variables.params, vae_params(case, suffix="_out"))


def test_extractor_unlearning_loss(golden, float64):
    case = golden("laf_camu/laf_ue_loss")
    config = laf.Config(latent=case["eps_r"].shape[1])
    (state,), metrics = replay("mlp", case, config)
    close(metrics["loss_unlearn"][0], case["L_UE"], 1e-10)
    close(metrics["sum_retain"][0], case["term_r"], 1e-10)
    close(metrics["sum_forget"][0], case["term_f"], 1e-10)
    close(gradient(state.unlearn), params("mlp", case, prefix="g_"))


@pytest.mark.parametrize("number", ["", "2"])
def test_alignment_loss(number, golden, float64):
    case = golden("laf_camu/laf_ra_loss")
    suffix = f"_tau{number}" if number else ""
    config = laf.Config(
        temperature=float(case[f"tau{number}"]),
        unlearn_learning_rate=0.0,
        vae_hidden=(4,),
        latent=2,
    )
    teacher = Variables(params("mlp", case, "_teacher"), {})
    (state,), metrics = replay("mlp", case, config, teacher)
    close(metrics["loss_align"][0], case[f"L_RA{suffix}"], 1e-10)
    close(gradient(state.align), params("mlp", case, suffix, "g_"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("laf_iterations_mlp", "mlp"),
        ("laf_two_epochs_mlp", "mlp"),
        ("laf_iterations_convbn", "convbn"),
    ],
)
def test_iterations(name, kind, golden, float64):
    """Several iterations with ragged forget batches: losses, first gradients, weights after every step."""
    case = golden(f"laf_camu/{name}")
    config = laf.Config(
        unlearn_learning_rate=float(case["lr_ue"]),
        align_learning_rate=float(case["lr_ra"]),
        temperature=float(case["tau"]),
        latent=case["r_WMu"].shape[1],
    )
    states, metrics = replay(kind, case, config, steps=int(case["n_iter"]))
    for ours, stored in {
        "loss_unlearn": "L_UE",
        "loss_align": "L_RA",
        "sum_retain": "term_r",
        "sum_forget": "term_f",
    }.items():
        close(metrics[ours], case[stored], 1e-10)
    close(gradient(states[0].unlearn), params(kind, case, prefix="gUE_"))
    close(gradient(states[0].align), params(kind, case, prefix="gRA_"), 1e-7)
    for k, state in enumerate(states):
        close(state.variables.params, params(kind, case, f"_it{k}"))
    close(states[-1].variables.params, params(kind, case, "_out"))
    model, before = network(kind, case)
    chex.assert_trees_all_equal(states[-1].variables.stats, before.stats)
    head = model.layers[-1]
    chex.assert_trees_all_equal(states[-1].variables.params[head], before.params[head])
    # The first step on L_UE by hand: Adam starts with lr g / (|g| + 1e-8).
    lr = float(case["lr_ue"])
    for layer, slopes in gradient(states[0].unlearn).items():
        moved = jax.tree.map(
            lambda w, g: w - lr * g / (abs(g) + 1e-8), before.params[layer], slopes
        )
        close(moved, params(kind, case, "_ue0")[layer])


def test_repair(golden, float64):
    case = golden("laf_camu/laf_repair")
    model, variables = network("mlp", case)
    epochs = int(case["epochs"])
    config = laf.Config(repair_epochs=epochs, repair_learning_rate=float(case["lr"]))
    method = laf.make(config, model)
    x = jnp.asarray(case["x_r_0"])
    state = method.init(jax.random.key(0), variables, {"train": Data(x, case["y_r_0"])}, None)
    stage = method.plan(Split(np.arange(1), np.arange(1, len(x)), NONE, NONE))[-1]
    assert (stage.name, stage.epochs) == ("repair", epochs)
    step, values = jax.jit(stage.step), []
    count = epochs * int(case["batches_per_epoch"])
    size = 1 + max(len(case[f"x_r_{k}"]) for k in range(count))
    head = model.layers[-1]
    for k in range(count):
        batch = as_batch(case[f"x_r_{k}"], 0, size)
        labels = np.zeros(size, int)
        labels[: len(case[f"y_r_{k}"])] = case[f"y_r_{k}"]
        state, metrics = step(state, {"retain": batch._replace(y=labels), "forget": batch})
        values.append(float(metrics["loss"]))
        if k == 0:
            close(gradient(state.repair), params("mlp", case, prefix="g_"))
            close(state.variables.params[head], params("mlp", case, "_step1")[head])
    close(np.array(values), case["loss"], 1e-10)
    close(state.variables.params, params("mlp", case, "_out"))
