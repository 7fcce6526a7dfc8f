"""Weights of classes: both rules, and a class without examples."""

import jax.numpy as jnp
import numpy as np

from junlearn.parts import class_weights
from junlearn.types import Data, Split
from tests import linear_net
from tests.linear_net import NONE


def test_rules(float64):
    counts = np.array([8, 0, 2, 10])
    np.testing.assert_allclose(class_weights.power(counts, 0.5), [8**-0.5, 0, 2**-0.5, 10**-0.5])
    weights = class_weights.balanced(counts)
    np.testing.assert_allclose(weights, [20 / 24, 0, 20 / 6, 20 / 30])
    np.testing.assert_allclose((weights * counts).sum() / counts.sum(), 1)


def test_the_retain_set_is_counted():
    variables, sources, _ = linear_net.problem(4, 6)
    labels = jnp.array([0, 0, 0, -1, 1, 1, 0, 1, 1, 1])
    sources["train"] = Data(sources["train"].x, labels)
    split = Split(np.arange(4), np.arange(4, 10), NONE, NONE)
    counts = class_weights.counts(linear_net.MODEL, variables, sources, split)
    assert counts.tolist() == [1, 5, 0]
