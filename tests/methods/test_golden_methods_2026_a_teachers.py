"""Parity of the methods that learn from the original's outputs with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import delete
from junlearn.parts import feeds
from junlearn.parts.feeds import cut
from junlearn.types import Data, Split
from tests.golden_nets import close, drive, network, params, stats

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


def check(kind, case, variables, suffix, rtol):
    ours, reference = variables.params, params(kind, case, suffix)
    if kind == "cnn" and rtol > 1e-6 and "frozen" not in suffix:
        # The bias before BatchNorm has no gradient but rounding.
        ours, reference = ({**tree, "conv": tree["conv"]["kernel"]} for tree in (ours, reference))
    close(ours, reference, rtol)
    if f"bn_mean{suffix}" in case:
        close(variables.stats, stats(kind, case, suffix), rtol)


@pytest.mark.parametrize(("kind", "variant"), [("mlp", ""), ("cnn", "_train"), ("cnn", "_frozen")])
def test_delete(kind, variant, golden, rtol):
    case = golden(f"methods_2026_a/delete_{kind}")
    model, variables = network(kind, case)
    size, epochs = int(case["batch_size"]), int(case["n_epochs"])
    config = delete.Config(
        learning_rate=float(case["learning_rate"]),
        momentum=float(case["momentum"]),
        batch_size=size,
        batchnorm="eval" if variant == "_frozen" else "train",
    )
    method = delete.make(config, model)
    sources = {"train": Data(jnp.asarray(case["x_forget"]), jnp.asarray(case["y_forget"]))}
    rows = np.arange(len(case["y_forget"]))
    split = Split(rows, NONE, NONE, NONE)
    start = method.init(jax.random.key(0), variables, sources, split)
    known, _, _ = model.apply(variables, sources["train"].x)
    target = jnp.exp(delete.log_target(known, sources["train"].y, start.extra.forgotten))
    close(target, case["target"], rtol)

    (stage,) = method.plan(split)
    stored = feeds.joined([feeds.sequential(rows, size)] * epochs)
    first, _ = drive(stage, start, sources, cut(stored, 1))
    check(kind, case, first.variables, f"_step1{variant}", rtol)
    state, metrics = drive(stage, start, sources, stored)
    check(kind, case, method.finish(state), f"_out{variant}", rtol)
    close(np.array([m["loss"] for m in metrics]), case[f"loss{variant}"], rtol)
    if f"gamma_moved{variant}" in case:
        moved = state.variables.params["norm"]["scale"] - variables.params["norm"]["scale"]
        close(jnp.abs(moved).max(), case[f"gamma_moved{variant}"], rtol)
