"""The digits that scikit-learn brings."""

import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from sklearn.datasets import load_digits

from junlearn.datasets import digits
from tests.datasets.made import make


def test_digits_are_split_four_to_one_in_every_class():
    dataset = make("digits")
    train, test = dataset.sources["train"], dataset.sources["test"]
    assert (train.x.shape, test.x.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1))
    assert (train.x.dtype, train.y.dtype) == (np.uint8, np.int32)
    share = np.bincount(test.y) / (np.bincount(train.y) + np.bincount(test.y))
    np.testing.assert_allclose(share, 0.2, atol=0.005)
    assert sorted([*train.id, *test.id]) == list(range(1797))
    assert dataset.input_shape == (8, 8, 1)
    assert dataset.classes == tuple("0123456789")


def test_digits_are_scaled_from_16_to_255():
    raw = load_digits()
    for data in make("digits").sources.values():
        np.testing.assert_array_equal(data.y, raw.target[data.id])
        expected = raw.images[data.id] * 255 / 16
        assert np.abs(data.x[..., 0] - expected).max() <= 0.5
    assert data.x.max() == 255


@pytest.mark.parametrize(
    "spec", [None, ModuleSpec("sklearn", None, origin="elsewhere/__init__.py")]
)
def test_without_the_file_scikit_learn_is_asked(spec, monkeypatch):
    monkeypatch.setattr(digits, "find_spec", lambda name: spec)
    for found, wanted in zip(digits._digits(), load_digits(return_X_y=True), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_file_holds_what_scikit_learn_gives(monkeypatch):
    """And it is where it is looked for: scikit-learn is not imported."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    pixels, target = digits._digits()
    monkeypatch.undo()
    raw = load_digits()
    np.testing.assert_array_equal(pixels, raw.data)
    np.testing.assert_array_equal(target, raw.target)
