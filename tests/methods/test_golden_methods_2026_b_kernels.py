"""Parity of the methods that draw kernels anew or turn them over with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import ct
from junlearn.parts.feeds import cut
from junlearn.types import Split
from tests.golden_nets import close, drive, network
from tests.golden_rows import check, feed_of, sources_of

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


def fields(case):
    """Of the optimiser, and the sizes."""
    return {
        "learning_rate": float(case["lr"]),
        **{name: float(case[name]) for name in ("momentum", "weight_decay")},
        **{name: case[name].item() for name in ("epochs", "batch_size")},
    }


def begun(module, config, case):
    """The method, its state before the first stage, its plan and its data, in which retain rows come first."""
    model, variables = network("cnn", case)
    parts = ("retain", "forget") if "x_forget" in case else ("retain",)
    sources = sources_of(case, *parts)
    rows = np.arange(len(sources["train"].y))
    split = Split(rows[len(case["y_retain"]) :], rows[: len(case["y_retain"])], NONE, NONE)
    method = module.make(config, model)
    state = method.init(jax.random.key(0), variables, sources, split)
    return method, state, method.plan(split), sources


def losses_are(metrics, reference, rtol):
    close(np.array([values["loss"] for values in metrics]), reference, rtol)


def test_ct(golden, rtol):
    case = golden("methods_2026_b/ct_cnn")
    method, state, (stage,), sources = begun(ct, ct.Config(**fields(case)), case)
    kernel = state.variables.params["conv"]["kernel"]
    close(kernel, jnp.asarray(case["K1_transposed"]), rtol)
    feed = feed_of(case["train_rows"])
    first, _ = drive(stage, state, sources, cut(feed, 1))
    check("cnn", case, first.variables, "_step1", rtol)
    last, metrics = drive(stage, state, sources, feed)
    check("cnn", case, method.finish(last), "_out", rtol)
    losses_are(metrics, case["loss"], rtol)
