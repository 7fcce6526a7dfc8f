"""Parity of DMM and TRAK with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import dmm
from junlearn.parts import datamodels, trak
from junlearn.parts.feeds import cut
from junlearn.types import Data, Split
from tests.golden_nets import close, drive, network, params

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


@pytest.mark.parametrize(("loss", "suffix"), [("squared_error", "mse"), ("cross_entropy", "ce")])
def test_dmm(golden, rtol, loss, suffix, tmp_path):
    case = golden("methods_2026_b/dmm_mlp")
    model, variables = network("mlp", case)
    x = np.concatenate([case["x_forget"], case["x_retain"]])
    y = np.concatenate([case["y_forget"], case["y_retain"]])
    forget, size = len(case["y_forget"]), len(y)
    table = np.full((size, *case["attributions"].shape[1:]), np.nan)
    table[:forget] = case["attributions"]
    path = tmp_path / "tau.npz"
    np.savez(path, attributions=table)
    config = dmm.Config(
        file=str(path),
        loss=loss,
        learning_rate=float(case["lr"]),
        decay=float(case["decay"]),
        proximal=float(case["proximal"]),
        multiplier=float(case["multiplier"]),
        forget_repeats=float(case["forget_multiplier"]),
        retain_ratio=float(case["retain_multiplier"]),
        epochs=int(case["epochs"]),
        batch_size=int(case["batch_size"]),
        shuffle=False,
    )
    method = dmm.make(config, model)
    sources = {"train": Data(jnp.asarray(x), jnp.asarray(y))}
    split = Split(np.arange(forget), np.arange(forget, size), NONE, NONE)
    state = method.init(jax.random.key(0), variables, sources, split)
    # The sample of the case in the place of ours.
    rows = case["finetune_rows"]
    given = datamodels.load(path)
    sums = datamodels.of_rows(given, split, rows, size, state.table.shape[1])
    state = state._replace(
        sample=jnp.asarray(rows[forget:], jnp.int32), table=jnp.asarray(sums, state.table.dtype)
    )
    targets, match = method.plan(split)
    state, _ = drive(targets, state, sources)
    close(state.table, case["target_logits"][rows], rtol)
    feed = match.feed(np.random.default_rng(0), state)
    np.testing.assert_array_equal(np.where(feed.mask, feed.index, -1), case["batch_rows"])
    one, _ = drive(match, state, sources, cut(feed, 1))
    close(one.student.variables.params, params("mlp", case, f"_step1_{suffix}"), rtol)
    found = []
    for _ in range(match.epochs):
        state, metrics = drive(match, state, sources, feed)
        found += [float(step["loss"]) for step in metrics]
    close(np.array(found), case[f"loss_{suffix}"], rtol)
    close(method.finish(state).params, params("mlp", case, f"_out_{suffix}"), rtol)


def test_trak(golden, rtol):
    case = golden("methods_2026_b/trak_mlp")
    model, variables = network("mlp", case)
    projection = jnp.asarray(case["projection"])

    def direction(number):
        """A column of the projection, whose rows run over W1 (out, in), b1, W2, .."""
        column, tree, at = projection[:, number], {}, 0
        for layer, leaves in variables.params.items():
            kernel, bias = leaves["kernel"], leaves["bias"]
            own = column[at : at + kernel.size].reshape(kernel.T.shape).T
            at += kernel.size
            tree[layer] = {"kernel": own, "bias": column[at : at + bias.size]}
            at += bias.size
        assert at == len(column)
        return tree

    def seen(kind):
        x, y = jnp.asarray(case[f"x_{kind}"]), jnp.asarray(case[f"y_{kind}"])

        def outputs(params):
            logits = model.apply(variables._replace(params=params), x)[0]
            return trak.margin(logits, y)[0][:, None]

        phi = trak.features(outputs, variables.params, direction, projection.shape[1])[:, 0]
        return phi, trak.margin(model.apply(variables, x)[0], y)[1]

    (phi, q), (query, _) = seen("train"), seen("query")
    close(phi, case["margin_gradient_train"] @ case["projection"], rtol)
    close(q, case["out_to_loss"], rtol)
    close(trak.scores(phi, query, q, float(case["lambda_reg"])), case["scores_regularised"], rtol)
    # Without a ridge float32 keeps fewer digits, and the release inverts in float32.
    exact = rtol if rtol < 1e-6 else 1e-2
    found = trak.scores(phi, query, q)
    close(found, case["scores"], exact)
    released = case["scores_released"] * case["inverse_mean_abs"]
    close(found, released, max(exact, 1e-5))
