"""The file of example scores: what is written is read, and what is not as it was written is refused."""

import numpy as np
import pytest

from junlearn.errors import ConfigError, DataError
from junlearn.parts import example_scores
from junlearn.parts.example_scores import ExampleScores

GIVEN = ExampleScores(np.array([0.25, -1.0, 3.5]), "mark", "memorisation", {"models": 4})


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "scores.npz"
    example_scores.save(path, GIVEN)
    found = example_scores.load(path)
    np.testing.assert_array_equal(found.scores, GIVEN.scores)
    assert found.scores.dtype == np.float64 and found[1:] == GIVEN[1:]


def test_scores_from_elsewhere_need_no_checksum(tmp_path):
    path = tmp_path / "scores.npz"
    np.savez(path, scores=np.array([1, 0, 2], np.float32), fingerprint="", kind="published")
    found = example_scores.load(path)
    assert found.scores.tolist() == [1, 0, 2] and found.about == {}


def test_a_changed_file_is_refused(tmp_path):
    path = tmp_path / "scores.npz"
    example_scores.save(path, GIVEN)
    with np.load(path) as file:
        arrays = dict(file)
    for changed in ({"scores": np.array([0.5, -1.0, 3.5])}, {"fingerprint": np.str_("other")}):
        np.savez(path, **{**arrays, **changed})
        with pytest.raises(DataError, match="damaged"):
            example_scores.load(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        example_scores.load(path)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"scores": np.zeros(3)}, "not a file of example scores"),
        ({"scores": np.zeros((3, 1)), "fingerprint": "", "kind": ""}, "one number for each"),
        ({"scores": np.array([0, np.nan]), "fingerprint": "", "kind": ""}, "not finite"),
    ],
)
def test_what_is_something_else_is_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "scores.npz", **arrays)
    with pytest.raises(DataError, match=says):
        example_scores.load(tmp_path / "scores.npz")
    with pytest.raises(DataError, match="no such file"):
        example_scores.load(tmp_path / "none.npz")


def test_scores_of_other_data_are_refused():
    example_scores.check(GIVEN, 3, "mark")
    example_scores.check(GIVEN._replace(fingerprint=""), 3, "mark")
    with pytest.raises(ConfigError, match="3 scores, and the training set has 4 examples"):
        example_scores.check(GIVEN, 4)
    with pytest.raises(ConfigError, match="belong to data of the fingerprint mark"):
        example_scores.check(GIVEN, 3, "other")
    with pytest.raises(ConfigError, match="one finite number"):
        example_scores.save("none.npz", ExampleScores(np.array([np.inf])))
