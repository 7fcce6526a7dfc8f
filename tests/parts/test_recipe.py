"""The recipe that training methods share: lengths, schedules, the last k layers, and parity in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import cf_k, eu_k, finetune, scrub
from junlearn.models.resnet9 import ResNet9Config, make_resnet9
from junlearn.parts import recipe
from junlearn.parts.layers import last_layers
from junlearn.parts.optimizers import warm_linear
from junlearn.types import Feed, Model, Split, Variables
from tests.golden_nets import batches, close, drive, network, params
from tests.golden_scar_nets import positive
from tests.models.test_resnet9 import variables_of

NONE = np.zeros(0, int)


def corrective(case, **fields):
    return {
        "learning_rate": float(case["peak_lr"]),
        "momentum": float(case["momentum"]),
        "weight_decay": float(case["wd"]),
        "steps": int(case["N"]),
        "batch_size": int(case["batch_sizes"].max()),
        **fields,
    }


def trained(method, variables, data, feed, start=None):
    """One epoch on the given batches."""
    split = Split(NONE, np.arange(int(feed.mask.sum())), NONE, NONE)
    state = method.init(jax.random.key(0), variables, {"train": data}, split)
    if start is not None:
        state = state._replace(variables=start)
    return drive(method.plan(split)[0], state, {"train": data}, feed)


def made(stages):
    """Number of steps of each epoch of a plan."""
    lengths = []
    for stage in stages:
        feed = stage.feed(np.random.default_rng(0), None)
        lengths += [len(feed.index)] * stage.epochs
    return lengths


@pytest.mark.parity
def test_reference_numbers_of_steps_and_rates(golden, float64):
    case = golden("scar_corrective/11_lr_schedule")
    model = Model(None, None)  # a plan needs no network
    for j, (total, peak, per_epoch) in enumerate(
        zip(case["N"], case["peak"], case["batches_per_epoch"], strict=True)
    ):
        split = Split(NONE, np.arange(int(per_epoch)), NONE, NONE)
        fields = {"steps": int(total), "batch_size": 1, "learning_rate": float(peak)}
        exact = cf_k.Config(**fields)
        released = cf_k.Config(overshoot=True, **fields)
        lengths = made(cf_k.make(released, model).plan(split))
        assert sum(lengths) == case["steps"][j] and len(lengths) == case["epochs"][j]
        assert sum(made(cf_k.make(exact, model).plan(split))) == total
        assert recipe.length(released, int(per_epoch)).total == total
        rate = jax.jit(jax.vmap(warm_linear(float(peak), int(total))))
        close(rate(jnp.arange(case["steps"][j])), case[f"lr_{j}"])


@pytest.mark.parity
def test_reference_numbers_of_scrub_steps(golden):
    case = golden("scar_corrective/11_lr_schedule")
    names = ("N", "msteps", "forget_batches", "retain_batches")
    for j, row in enumerate(zip(*(case[f"scrub_{name}"] for name in names), strict=True)):
        total, msteps, forget, retain = map(int, row)
        fields = {"steps": total, "msteps": msteps, "schedule": "warm_linear"}
        released = scrub.Config(overshoot=True, **fields)
        schedule = scrub.passes(released, forget, retain)
        rising = [part.steps for part in schedule if part.kind == "max"]
        assert sum(part.steps for part in schedule) == case["scrub_steps"][j]
        assert sum(rising) == case["scrub_ascent_steps"][j]
        assert len(schedule) == case["scrub_evaluations"][j]
        exact = scrub.Config(**fields)
        assert sum(part.steps for part in scrub.passes(exact, forget, retain)) == total
        rates = [
            scrub.rate(c, scrub.passes(c, forget, retain))(total - 1) for c in (released, exact)
        ]
        assert rates[0] == rates[1]


@pytest.mark.parity
@pytest.mark.parametrize("name", ["cf", "eu"])
def test_reference_steps(name, golden, float64):
    """Steps of the whole network, losses, weights and velocities; EU from the reference's fresh draw."""
    case = golden(f"scar_corrective/12_{name}_steps")
    module = {"cf": cf_k, "eu": eu_k}[name]
    model, variables = network("mlp", case)
    begin = Variables(params("mlp", case, "_init"), {}) if name == "eu" else None
    config = module.Config(**corrective(case))
    data, feed = batches({**case, "batch_len": case["batch_sizes"]})
    after, metrics = trained(module.make(config, model), variables, data, feed, begin)
    close(np.array([m["loss"] for m in metrics]), case["loss"])
    close(after.variables.params, params("mlp", case, "_out"))
    close(optax.tree.get(after.optimizer, "trace"), params("mlp", case, "_velocity"))
    rate = warm_linear(config.learning_rate, config.steps)
    close(np.array([rate(t) for t in range(len(case["lr"]))]), case["lr"])


@pytest.mark.parity
def test_reference_steps_of_the_last_layers(golden, float64):
    """Everything before them stays as it is, its running statistics too; their own move."""
    case = golden("scar_corrective/12c_cf_last2_frozen_prefix")
    widths = tuple(case[f"{name}_bias"].size for name in ("conv1", "conv2", "conv3", "conv4"))
    shape = case["batch_x"].shape[1:]
    model = make_resnet9(ResNet9Config(widths=widths), int(case["num_classes"]), shape)
    before = variables_of(case)
    moved = {name.removesuffix("_out"): array for name, array in case.items() if "_out" in name}
    expected = variables_of({**case, **moved})
    config = cf_k.Config(**corrective(case, k=int(case["k"])))
    data, feed = batches({**case, "batch_len": case["batch_sizes"]})
    data = data._replace(x=data.x.astype(jnp.float64))  # stored as float16
    after, metrics = trained(cf_k.make(config, model), before, data, feed)
    close(np.array([m["loss"] for m in metrics]), case["loss"])
    close(after.variables, expected)
    trained_layers = last_layers(model, config.k) or model.layers
    for name in set(before.params) - set(trained_layers):
        chex.assert_trees_all_equal(after.variables.params[name], before.params[name])
        running = (v.stats["batch_stats"][name] for v in (after.variables, before))
        chex.assert_trees_all_equal(*running)


@pytest.mark.parity
def test_reference_finetuning_with_milestones(golden, float64):
    case = golden("scar_corrective/07b_finetuning")
    sizes = case["batch_sizes"]
    model, variables = positive(case)
    config = finetune.Config(
        learning_rate=float(case["lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["wd"]),
        schedule="multistep",
        milestones=tuple(map(int, case["milestones"])),
        decay=float(case["lr_factor"]),
        epochs=int(case["epochs"]),
        batch_size=1,
    )
    data, feed = batches({**case, "batch_x": case["x"], "batch_y": case["y"], "batch_len": sizes})
    epochs = int(case["epochs"])
    feed = Feed(np.tile(feed.index, (epochs, 1)), np.tile(feed.mask, (epochs, 1)))
    # As many examples as the reference has batches: they only fix the schedule.
    split = Split(NONE, np.arange(len(sizes)), NONE, NONE)
    method = finetune.make(config, model)
    state = method.init(jax.random.key(0), variables, {"train": data}, split)
    (stage,) = method.plan(split)
    assert stage.epochs == epochs
    after, metrics = drive(stage, state, {"train": data}, feed)
    close(np.array([m["loss"] for m in metrics]), case["loss"])
    close(after.variables.params, params("mlp", case, "_out"))


def begun(config, problem, variables):
    sources = jax.tree.map(jnp.asarray, problem.sources)
    method = eu_k.make(config, problem.model)
    return method.init(jax.random.key(0), variables, sources, problem.split).variables


def test_the_last_layers_are_drawn_anew(convnet):
    """Weights and running statistics of the last k; of k = -1 nothing of the original is left."""
    moved = jax.tree.map(lambda leaf: leaf + 1, convnet.variables)
    layers = convnet.model.layers
    k = len(layers) - 1
    assert not convnet.model.depths
    some, every = (begun(eu_k.Config(k=k), convnet, moved), begun(eu_k.Config(), convnet, moved))
    for name in layers:
        source = moved if name == layers[0] else every
        chex.assert_trees_all_equal(some.params[name], source.params[name])
        if name in moved.stats["batch_stats"]:
            running = (v.stats["batch_stats"][name] for v in (some, source))
            chex.assert_trees_all_equal(*running)
    chex.assert_trees_all_equal(every, begun(eu_k.Config(), convnet, convnet.variables))
    chex.assert_trees_all_equal(every, convnet.model.fresh(jax.random.key(0), convnet.sources))


def test_statistics_by_layer_are_drawn_anew_too():
    """As a network that is no Linen module has them."""
    old = Variables({"a": 1, "b": {"c": 2}}, {"a": 3, "b": 4})
    new = Variables({"a": 5, "b": {"c": 6}}, {"a": 7, "b": 8})
    mixed = Variables({"a": 1, "b": {"c": 6}}, {"a": 3, "b": 8})
    assert eu_k.redrawn(old, new, ("b",)) == mixed


def test_requests_that_cannot_be_served(mlp):
    with pytest.raises(ConfigError, match="exactly 9"):
        cf_k.make(cf_k.Config(k=9), mlp.model)
    method = cf_k.make(cf_k.Config(warmup_epochs=1), mlp.model)
    with pytest.raises(ConfigError, match="set warmup_epochs to 0"):
        method.plan(mlp.split)
