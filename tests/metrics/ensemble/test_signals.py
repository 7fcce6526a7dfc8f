"""Signals: the exact margin, and the guards and clips of published codes."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    clipped_margins,
    guarded_margins,
    label_probabilities,
    margins,
)


@pytest.mark.parity
def test_golden(golden):
    case = golden("audit/confidence")
    logits, labels = case["logits"], case["labels"]
    found = {
        "phi_exact": margins(logits, labels),
        "phi_released": guarded_margins(logits, labels),
        "phi_released_float32_logits": guarded_margins(logits, labels, "float32_exponential"),
        "probability": label_probabilities(logits, labels),
    }
    for name, values in found.items():
        np.testing.assert_allclose(values, case[name], rtol=0, atol=1e-12, err_msg=name)


def test_guards_tie_what_the_margin_orders():
    logits = np.array([[300.0, 0.0], [250.0, 0.0], [-300.0, 0.0]])
    labels = np.zeros(3, int)
    np.testing.assert_allclose(margins(logits, labels), [300, 250, -300])
    for precision, extreme in (("float64", 103.6163), ("float32", 103.2789)):
        released = guarded_margins(logits, labels, precision)
        np.testing.assert_allclose(released, [extreme, extreme, -extreme], atol=1e-4)
    np.testing.assert_allclose(
        clipped_margins(logits, labels), [13.8155, 13.8155, -13.8155], atol=1e-4
    )


def test_an_ensemble_is_its_networks():
    logits = np.random.default_rng(0).normal(size=(3, 5, 4))
    labels = np.array([0, 1, 2, 3, 0])
    for signal in (margins, guarded_margins, clipped_margins, label_probabilities):
        together = signal(logits, labels)
        assert together.shape == (3, 5)
        np.testing.assert_array_equal(together, [signal(each, labels) for each in logits])


def test_two_classes_and_large_logits():
    assert margins([[1e4, -1e4]], [1]) == [-2e4]
    assert label_probabilities([[1e4, -1e4]], [1]) == [0]


@pytest.mark.parametrize(
    ("logits", "labels", "line"),
    [
        ([[1.0], [2.0]], [0, 0], "logits of 1 class; at least 2"),
        ([[1.0, np.nan]], [0], "1 of 2 numbers are NaN or infinite"),
        ([[1.0, 2.0]], [2], "labels reach from 2 to 2, but there are 2 classes"),
        ([[1.0, 2.0]], [0, 1], r"labels must be of shape \[1\], not \[2\]"),
        ([[1.0, 2.0]], [0.5], "must hold whole numbers"),
        ([1.0, 2.0], [0], r"must be \[examples, classes\], not of shape \[2\]"),
        (np.empty((0, 2)), np.empty(0, int), "logits is empty"),
        (np.ma.masked_less([[1.0, 2.0]], 1.5), [0], "masked"),
        ([["a", "b"]], [0], "numbers are wanted"),
        ([[1.0, 2.0], [1.0]], [0], "cannot be read"),
    ],
)
def test_refused(logits, labels, line):
    with pytest.raises(ConfigError, match=line):
        margins(logits, labels)
