"""Defects of released metric code that must not come back: what our quantities are not."""

import math

import numpy as np
import pytest

from junlearn.metrics import METRICS, Context, Outputs
from junlearn.metrics.accuracy import correct
from junlearn.metrics.divergence import jensen_shannon, probability_distance
from junlearn.metrics.probabilities import log_softmax, softmax

LN2 = math.log(2.0)


def logits_of(*rows):
    """Logits whose softmax are the given rows of probabilities."""
    return np.log(np.asarray(rows, np.float64))


@pytest.fixture
def pair():
    """Logits of two networks."""
    rng = np.random.default_rng(0)
    return 2.0 * rng.normal(size=(11, 4)), 2.0 * rng.normal(size=(11, 4))


def test_js_sums_over_classes_and_weighs_by_the_network(pair):
    """Released: `mean over rows and classes of m log(m / p)`, for ZRF too."""

    def released(z, w):
        p, q = softmax(z), softmax(w)
        m = 0.5 * (p + q)
        return 0.5 * np.mean(m * np.log(m / p)) + 0.5 * np.mean(m * np.log(m / q))

    z, w = pair
    ours = jensen_shannon(z, w).mean()
    # The reduction alone does not explain the difference: the direction is another one as well.
    assert abs(ours - released(z, w)) > 0.05
    assert abs(ours - z.shape[1] * released(z, w)) > 0.05
    wide = [np.pad(a, ((0, 0), (0, 5)), constant_values=-60.0) for a in (z, w)]
    assert jensen_shannon(*wide).mean() == pytest.approx(ours, abs=1e-12)
    assert released(*wide) < 0.6 * released(z, w)


def test_zrf_is_not_a_cosine():
    z, w = logits_of([0.7, 0.2, 0.1]), logits_of([0.1, 0.2, 0.7])
    p, q = softmax(z)[0], softmax(w)[0]
    rows = {"forget_train": z}
    context = Context(Outputs(rows), {}, random=Outputs({"forget_train": w}))
    value = METRICS["zrf"](context)["zrf/forget_train"]
    assert abs(value - p @ q / np.linalg.norm(p) / np.linalg.norm(q)) > 0.1
    assert 1 - LN2 <= value <= 1


def test_every_row_is_normalised_on_its_own():
    """Released: one softmax over the whole matrix, where rows weigh by the size of their logits."""
    z = np.array([[4.0, 0.0], [0.0, 1.0]])
    w = np.array([[0.0, 4.0], [1.0, 0.0]])
    whole = jensen_shannon(z.reshape(1, -1), w.reshape(1, -1))[0]
    ours = jensen_shannon(z, w)
    single = [jensen_shannon(z[i : i + 1], w[i : i + 1])[0] for i in range(len(z))]
    np.testing.assert_allclose(ours, single)
    assert abs(ours.mean() - whole) > 0.1
    shifted = z + np.array([[30.0], [0.0]])
    np.testing.assert_allclose(jensen_shannon(shifted, w), ours)


def test_activation_distance_is_the_mean_of_the_roots(pair):
    gaps = softmax(pair[0]) - softmax(pair[1])
    root_of_mean = math.sqrt(np.mean(np.sum(gaps**2, axis=1)))
    assert root_of_mean - probability_distance(*pair).mean() > 0.01


def test_accuracy_is_not_the_mean_over_batches(pair):
    """Released: every batch weighs the same, so the rows of a short last one weigh more."""
    z = pair[0]
    y = np.where(np.arange(len(z)) < 7, z.argmax(axis=1), z.argmin(axis=1))
    value = METRICS["accuracy"](Context(Outputs({"test": z}), {"test": y}))["accuracy/test"]
    hits, losses = correct(z, y), -log_softmax(z)[np.arange(len(z)), y]
    for values in (hits, losses):
        batches = [values[i : i + 5].mean() for i in range(0, len(z), 5)]
        assert abs(np.mean(batches) - values.mean()) > 1e-3
    assert value == pytest.approx(hits.mean(), abs=1e-15)
