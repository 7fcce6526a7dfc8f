"""Attributions from a file: what is read of each kind, and what is refused."""

import numpy as np
import pytest

from junlearn.errors import ConfigError, DataError
from junlearn.parts import datamodels
from junlearn.types import Split

NONE = np.zeros(0, int)
SPLIT = Split(np.array([4, 1]), np.array([0, 2, 3]), NONE, NONE)
ROWS = np.array([4, 1, 3])


def written(path, **arrays):
    np.savez(path / "tau.npz", **arrays)
    return datamodels.load(path / "tau.npz")


def test_what_is_read(tmp_path):
    """Columns of a validation set, and rows that nobody asks for, may hold anything."""
    tau = np.random.default_rng(0).normal(size=(5, 7, 2))
    wanted = (tau[4] + tau[1])[ROWS]
    tau[[0, 2, 3]] = tau[:, 5:] = np.nan
    found = datamodels.of_rows(written(tmp_path, attributions=tau), SPLIT, ROWS, 5, 2)
    np.testing.assert_allclose(found, wanted)
    for kind in ("sums", "targets"):
        given = written(tmp_path, **{kind: tau[4, :5]})
        found = datamodels.of_rows(given, SPLIT, ROWS, 5, 2)
        np.testing.assert_array_equal(found, tau[4, ROWS])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"tau": np.zeros((5, 2))}, "one array out of attributions, sums, targets is wanted"),
        ({"sums": np.zeros((5, 2)), "targets": np.zeros((5, 2))}, "not 2 of them"),
        ({"sums": np.zeros(5)}, "sums must be numbers with 2 axes, not float64"),
        ({"sums": np.zeros((5, 2), int)}, "not int64"),
    ],
)
def test_other_files(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        written(tmp_path, **arrays)


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        datamodels.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("tau")
    with pytest.raises(DataError, match="is not a file of attributions"):
        datamodels.load(tmp_path / "text.npz")


def test_other_data(tmp_path):
    given = written(tmp_path, sums=np.full((5, 2), np.nan))
    with pytest.raises(ConfigError, match=r"have the shape \[5, 2\], .* wants \[6, 2\]"):
        datamodels.of_rows(given, SPLIT, ROWS, 6, 2)
    with pytest.raises(ConfigError, match=r"wants \[5, 3\]"):
        datamodels.of_rows(given, SPLIT, ROWS, 5, 3)
    with pytest.raises(ConfigError, match="not all finite"):
        datamodels.of_rows(given, SPLIT, ROWS, 5, 2)
