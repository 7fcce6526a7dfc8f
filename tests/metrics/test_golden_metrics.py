"""Accuracy and divergences of two networks' outputs against reference numbers, and the released forms of some."""

import math

import numpy as np
import pytest

from junlearn.metrics import METRICS, Context, Outputs, compute
from junlearn.metrics.accuracy import correct
from junlearn.metrics.divergence import jensen_shannon
from junlearn.metrics.probabilities import log_softmax, softmax

pytestmark = pytest.mark.parity


@pytest.fixture
def case(golden):
    return golden("jit_ssd/metrics")


def mean_over_batches(values, case):
    """As released: every batch weighs the same."""
    size = int(case["eval_batch"])
    return np.mean([values[i : i + size].mean() for i in range(0, len(values), size)])


def test_metrics_of_two_networks(case):
    model, other, y = case["z_model"], case["z_other"], case["y_eval"]
    rows = {"forget_train": model}
    context = Context(
        Outputs(rows),
        {"forget_train": y},
        retrain=Outputs({"forget_train": other}),
        random=Outputs({"forget_train": other}),
    )
    js = jensen_shannon(model, other)
    np.testing.assert_allclose(js, case["js_true_per_sample"], rtol=0, atol=1e-12)
    values = compute(context)
    assert values["zrf/forget_train"] == pytest.approx(case["zrf_true"], abs=1e-12)
    released = METRICS["zrf_released"](context)["zrf_released/forget_train"]
    assert released == pytest.approx(case["zrf"], abs=1e-12)
    assert 1 - js.mean() / math.log(2.0) == pytest.approx(case["zrf_true_log2"], abs=1e-12)
    distance = values["activation_distance/forget_train"]
    assert distance == pytest.approx(case["activation_distance"], abs=1e-12)
    accuracy = values["accuracy/forget_train"]
    assert 100 * accuracy == pytest.approx(case["acc_sample_weighted"], abs=1e-10)


def test_released_divergence(case):
    """The mean over rows and classes of m log(m / p): not what `jensen_shannon` is."""
    p, q = softmax(case["z_model"]), softmax(case["z_other"])
    m = 0.5 * (p + q)
    released = 0.5 * np.mean(m * np.log(m / p)) + 0.5 * np.mean(m * np.log(m / q))
    assert released == pytest.approx(case["jsdiv"], abs=1e-12)
    ours = jensen_shannon(case["z_model"], case["z_other"]).mean()
    assert ours == pytest.approx(case["js_true_per_sample"].mean(), abs=1e-12)


def test_released_means_over_batches(case):
    hits = correct(case["z_model"], case["y_eval"])
    assert 100 * mean_over_batches(hits, case) == pytest.approx(case["eval_acc"], abs=1e-5)
    assert 100 * hits.mean() == pytest.approx(case["acc_sample_weighted"], abs=1e-10)
    losses = -log_softmax(case["z_model"])[np.arange(len(hits)), case["y_eval"]]
    assert mean_over_batches(losses, case) == pytest.approx(case["eval_loss"], abs=1e-10)
