"""The digits that scikit-learn brings."""

import numpy as np

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
    from sklearn.datasets import load_digits

    raw = load_digits()
    for data in make("digits").sources.values():
        np.testing.assert_array_equal(data.y, raw.target[data.id])
        expected = raw.images[data.id] * 255 / 16
        assert np.abs(data.x[..., 0] - expected).max() <= 0.5
    assert data.x.max() == 255
