"""The functions of a softmax: by hand, against reference numbers, saturated, and in general."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from junlearn.metrics.probabilities import (
    confidence,
    entropy,
    log_complement,
    log_softmax,
    logit_scaled_confidence,
    modified_entropy,
    softmax,
)
from tests import conftest

GOLDEN = conftest.GOLDEN / "jit_ssd" / "metrics.npz"
LN2 = math.log(2.0)


def logits_of(*rows):
    """Logits whose softmax are the given rows of probabilities."""
    return np.log(np.asarray(rows, np.float64))


def test_probabilities_by_hand():
    z, y = logits_of([0.5, 0.25, 0.25], [0.1, 0.8, 0.1]), np.array([0, 2])
    np.testing.assert_allclose(softmax(z), [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    np.testing.assert_allclose(entropy(z)[0], 1.5 * LN2)
    np.testing.assert_allclose(np.exp(log_complement(z)), 1.0 - softmax(z))
    np.testing.assert_allclose(confidence(z, y), [0.5, 0.1])
    np.testing.assert_allclose(
        logit_scaled_confidence(z, y), [0.0, math.log(0.1 / 0.9)], atol=1e-15
    )
    by_hand = [
        -0.5 * math.log(0.5) - 2 * 0.25 * math.log(0.75),
        -0.9 * math.log(0.1) - 0.1 * math.log(0.9) - 0.8 * math.log(0.2),
    ]
    np.testing.assert_allclose(modified_entropy(z, y), by_hand)


@pytest.mark.parity
def test_golden_entropies_with_a_saturated_row():
    with np.load(GOLDEN) as file:
        golden = dict(file)
    for split in ("retain", "test", "forget"):
        np.testing.assert_allclose(
            entropy(golden[f"z_{split}"]), golden[f"entropy_{split}"], rtol=0, atol=1e-12
        )
    assert softmax(golden["z_forget"]).min() == 0.0  # the file does hold one
    assert entropy(golden["z_forget"]).min() == 0.0


def test_saturation_loses_no_digits():
    # With a = exp(-60): p = (1, a, 0) up to a relative 1e-26, though 1 - p_0 rounds to 0.
    z, a = np.array([[60.0, 0.0, -2000.0]]), math.exp(-60.0)
    right, wrong = np.array([0]), np.array([1])
    np.testing.assert_allclose(log_softmax(z), [[-a, -60.0, -2060.0]], rtol=1e-14)
    np.testing.assert_allclose(log_complement(z)[0, :2], [-60.0, -a], rtol=1e-14)
    np.testing.assert_allclose(entropy(z), a * 61.0, rtol=1e-14)
    np.testing.assert_allclose(logit_scaled_confidence(z, right), 60.0)
    np.testing.assert_allclose(logit_scaled_confidence(z, wrong), -60.0)
    np.testing.assert_allclose(modified_entropy(z, wrong), 120.0)
    np.testing.assert_allclose(modified_entropy(z, right), 2.0 * a * a, rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    z=arrays(np.float64, (5, 4), elements=st.floats(-1e3, 1e3)),
    shift=st.floats(-50, 50),
    y=arrays(np.int64, 5, elements=st.integers(0, 3)),
)
def test_probabilities_properties(z, shift, y):
    np.testing.assert_allclose(softmax(z).sum(axis=1), 1.0)
    assert np.all((entropy(z) >= 0) & (entropy(z) <= math.log(4) + 1e-12))
    assert np.all(modified_entropy(z, y) >= 0) and np.isfinite(modified_entropy(z, y)).all()
    assert np.isfinite(log_complement(z)[np.arange(5), z.argmax(axis=1)]).all()
    for function in (confidence, logit_scaled_confidence, modified_entropy):
        np.testing.assert_allclose(function(z + shift, y), function(z, y), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(entropy(z + shift), entropy(z), rtol=1e-9, atol=1e-9)


def test_modified_entropy_is_not_the_released_one():
    """Released: log p where log(1 - p) belongs, and whole label columns are edited."""

    def released(z, y):
        p = softmax(z)
        edited = p.copy()
        edited[:, y] = 1.0 - p[:, y]
        return -np.sum(edited * np.log(p), axis=1)

    z = logits_of([0.5, 0.3, 0.2], [0.1, 0.8, 0.1])
    y = np.array([0, 1])
    assert np.all(np.abs(modified_entropy(z, y) - released(z, y)) > 0.1)
    # A row's value depends on that row alone.
    np.testing.assert_allclose(modified_entropy(z, y)[:1], modified_entropy(z[:1], y[:1]))
    assert not np.allclose(released(z, y)[:1], released(z[:1], y[:1]))
