"""Parity of KDE and RNI with reference numbers, in both precisions, from the draws of the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import kde, rni
from junlearn.parts.feeds import cut
from junlearn.types import Data, Split
from tests.golden_nets import close, drive, names, network, params
from tests.golden_rows import check, feed_of, sources_of

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)
PRECISIONS = pytest.mark.parametrize(("double", "rtol"), [(True, 1e-9), (False, 1e-4)])


def split_of(case):
    return Split(NONE, np.arange(len(case["x_retain"])), NONE, NONE)


def entropy(model, variables, rows, temperature):
    """Of the original at the temperature, the mean over the rows: what the reference adds to the loss."""
    log_p = jax.nn.log_softmax(model.apply(variables, rows)[0] / temperature)
    return -(jnp.exp(log_p) * log_p).sum(1).mean()


@PRECISIONS
def test_kde(double, rtol, golden):
    case = golden("methods_2026_b/kde_cnn")
    config = kde.Config(
        learning_rate=float(case["lr_retain"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
        warmup_learning_rate=float(case["lr_warm"]),
        temperature=float(case["temperature"]),
        warmup_epochs=int(case["epochs_warm"]),
        epochs=int(case["epochs_retain"]),
        batch_size=int(case["batch_size"]),
    )
    split, rows = split_of(case), case["rows"]
    warm = case["phase"] == 0
    with jax.enable_x64(double):
        model, variables = network("cnn", case)
        sources = sources_of(case, "retain")
        sources["validation"] = Data(jnp.asarray(case["x_val"]), jnp.asarray(case["y_val"]))
        method = kde.make(config, model)
        state = method.init(jax.random.key(0), variables, sources, split)
        close(state.variables.params["norm"], params("cnn", case, "_reset")["norm"])
        close(state.variables.stats, variables.stats)
        reset = variables._replace(params=params("cnn", case, "_reset"))
        state = state._replace(variables=reset)
        losses = []
        for stage, feed, suffixes in zip(
            method.plan(split),
            (feed_of(rows[warm], source="validation"), feed_of(rows[~warm])),
            (("_warm1", "_warm_out"), ("_retain1", "_out")),
            strict=True,
        ):
            first, _ = drive(stage, state, sources, cut(feed, 1))
            check("cnn", case, first.variables, suffixes[0], rtol)
            state, metrics = drive(stage, state, sources, feed)
            check("cnn", case, state.variables, suffixes[1], rtol)
            losses += [values["loss"] for values in metrics]
        x = sources["train"].x
        added = [entropy(model, variables, x[batch], config.temperature) for batch in rows[~warm]]
        close(np.array(losses), case["loss"] - np.array([0.0] * warm.sum() + added), rtol)


@PRECISIONS
def test_rni(double, rtol, golden):
    """Every epoch trains the arrays of the reference; its noise is put in, and no other is drawn."""
    case = golden("methods_2026_b/rni_mlp")
    fine = int(case["fine_epochs"])
    config = rni.Config(
        learning_rate=float(case["lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
        noise=float(case["noise_std"]),
        noise_share=0.0,
        epochs=int(case["epochs"]) - fine,
        fine_rates=tuple(map(float, case["fine_lr"][:fine])),
        batch_size=case["rows"].shape[1],
    )
    assert {len(case[name]) for name in ("trained", "noised")} == {int(case["epochs"])}
    split, steps = split_of(case), int(case["steps_per_epoch"])
    with jax.enable_x64(double):
        model, variables = network("mlp", case)
        # The place of every array of the case in the order of the tree.
        column = {name: place for place, name in enumerate(case["names"])}
        stored = {}
        for (layer, leaf), name in names("mlp", case).items():
            stored.setdefault(layer, {})[leaf] = column[name]
        order = np.array(jax.tree.leaves(stored))
        sources, method = sources_of(case, "retain"), rni.make(config, model)
        state = method.init(jax.random.key(0), variables, sources, split)
        reset = params("mlp", case, "_reset")
        close(
            {name: state.variables.params[name] for name in model.layers[:-1]},
            {name: reset[name] for name in model.layers[:-1]},
        )
        state = state._replace(variables=variables._replace(params=reset))
        plan, losses = method.plan(split), []
        for epoch in range(int(case["epochs"])):
            begin, train = plan[2 * epoch : 2 * epoch + 2]
            state, _ = drive(begin, state, sources)
            noise = jax.tree.map(jnp.zeros_like, reset)
            for layer, leaf in names("mlp", case):
                drawn = case.get(f"noise_e{epoch}_{names('mlp', case)[layer, leaf]}")
                noise[layer][leaf] = noise[layer][leaf] if drawn is None else jnp.asarray(drawn)
            marks = jnp.asarray(case["noised"][epoch][order])
            now = rni.disturbed(state.variables.params, noise, marks, config.noise)
            active = jnp.asarray(case["trained"][epoch][order])
            state = state._replace(
                variables=variables._replace(params=now), extra=state.extra._replace(active=active)
            )
            feed = feed_of(case["rows"][steps * epoch : steps * (epoch + 1)])
            np.testing.assert_allclose(state.optimizer.rate, case["lr_steps"][steps * epoch], 1e-6)
            if epoch < 2:
                first, _ = drive(train, state, sources, cut(feed, 1))
                check("mlp", case, first.variables, ("_step1", "_step_e1")[epoch], rtol)
            state, metrics = drive(train, state, sources, feed)
            losses += [values["loss"] for values in metrics]
        check("mlp", case, method.finish(state), "_out", rtol)
        close(np.array(losses), case["loss"], rtol)
