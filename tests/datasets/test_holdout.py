import numpy as np

from junlearn.datasets.holdout import hold_out
from junlearn.types import Data, Dataset


def test_a_part_of_train_takes_the_place_of_test():
    x = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    train = Data(x, np.arange(40, dtype=np.int32), fine=np.arange(40) * 2)
    test = Data(x[:3], np.zeros(3, np.int32))
    dataset = Dataset("a", "1", "f", {"train": train, "test": test}, {}, ("k",))
    held = hold_out(dataset, 0.26, seed=1)
    kept, taken = held.sources["train"], held.sources["test"]
    assert (len(kept.y), len(taken.y)) == (30, 10)
    assert sorted([*kept.y, *taken.y]) == list(range(40))
    for part in (kept, taken):
        np.testing.assert_array_equal(part.x.ravel(), part.y)
        np.testing.assert_array_equal(part.fine, 2 * part.y)
        assert (np.diff(part.y) > 0).all()
    again, other = hold_out(dataset, 0.26, seed=1), hold_out(dataset, 0.26, seed=2)
    np.testing.assert_array_equal(again.sources["test"].y, taken.y)
    assert not np.array_equal(other.sources["test"].y, taken.y)
    assert len({dataset.fingerprint, held.fingerprint, other.fingerprint}) == 3
