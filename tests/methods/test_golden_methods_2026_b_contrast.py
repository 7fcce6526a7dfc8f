"""Parity of FCS with reference numbers, in both precisions: every pass of two epochs."""

import jax
import numpy as np
import pytest

from junlearn.methods import fcs
from junlearn.parts.feeds import cut, is_feed
from junlearn.types import Split
from tests.golden_nets import close, drive, network
from tests.golden_rows import check, feed_of, sources_of

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)
CONTRAST = 1
"""What `event` calls the steps of the contrast; 0 is the first pass and 2 the repair."""


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize(("double", "rtol"), [(True, 1e-9), (False, 1e-4)])
def test_fcs(kind, double, rtol, golden):
    case = golden(f"methods_2026_b/fcs_{kind}")
    config = fcs.Config(
        learning_rate=float(case["lr_forget"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["wd_retain"]),
        uniform_learning_rate=float(case["lr_first"]),
        repair_learning_rate=float(case["lr_retain"]),
        final_learning_rate=float(case["eta_min"]),
        temperature=float(case["temperature"]),
        epochs=int(case["epochs"]),
        batch_size=int(case["batch_size"]),
    )
    retain = np.arange(len(case["x_retain"]))
    split = Split(len(retain) + np.arange(len(case["x_forget"])), retain, NONE, NONE)
    event, losses = case["event"], []
    ends = [*(np.flatnonzero(np.diff(event)) + 1), len(event)]
    with jax.enable_x64(double):
        model, variables = network(kind, case)
        method, sources = fcs.make(config, model), sources_of(case, "retain", "forget")
        state = method.init(jax.random.key(0), variables, sources, split)
        stages = method.plan(split)
        assert len(stages) == len(ends) == 1 + 2 * config.epochs
        for stage, begin, end in zip(stages, [0, *ends[:-1]], ends, strict=True):
            forget = feed_of(case["forget_rows"][begin:end], len(retain))
            beside = feed_of(case["retain_rows"][begin:end])
            both = {"forget": forget, "retain": beside}
            what = event[begin]
            feed, suffix = ((forget, "_kl1"), (both, "_contrast1"), (beside, "_retain1"))[what]
            if what not in event[:begin]:
                one = jax.tree.map(lambda f: cut(f, 1), feed, is_leaf=is_feed)
                first, _ = drive(stage, state, sources, one)
                check(kind, case, first.variables, suffix, rtol)
            state, metrics = drive(stage, state, sources, feed)
            losses += [values["loss"] for values in metrics]
            if begin == 0:
                check(kind, case, state.variables, "_kl_out", rtol)
        check(kind, case, method.finish(state), "_out", rtol)
        close(np.array(losses), case["loss"], rtol)


def test_the_rate_of_the_contrast(golden, float64):
    case = golden("methods_2026_b/fcs_mlp")
    config = fcs.Config(
        learning_rate=float(case["lr_forget"]), final_learning_rate=float(case["eta_min"])
    )
    rates = case["lr_steps"][case["event"] == CONTRAST]
    rate = fcs.falling(config, len(rates))
    np.testing.assert_allclose([rate(t) for t in range(len(rates))], rates, rtol=1e-12)
