"""Parity of KDE with reference numbers, in both precisions, from the draws of the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import kde
from junlearn.parts.feeds import cut
from junlearn.types import Data, Split
from tests.golden_nets import close, drive, network, params
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
