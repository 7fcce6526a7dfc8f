"""Folders of images as a dataset."""

import numpy as np
import pytest
from PIL import Image

from junlearn.errors import ConfigError, DataError
from tests.datasets.made import make, write_images


def test_an_image_folder_with_train_and_test(pets, tmp_path):
    calls = []
    dataset = make(
        "image_folder", tmp_path / "cache", lambda *progress: calls.append(progress), path=str(pets)
    )
    assert dataset.name == "pets"
    assert dataset.classes == ("cat", "dog")
    train = dataset.sources["train"]
    assert train.x.shape == (6, 4, 5, 3)
    assert train.y.tolist() == [0, 0, 0, 1, 1, 1]
    expected = np.asarray(Image.open(pets / "train" / "dog" / "001.png"))
    np.testing.assert_array_equal(train.x[4], expected)
    assert len(dataset.sources["test"].y) == 6
    assert calls == [(12, 12)]
    again = make("image_folder", tmp_path / "cache", calls.append, path=str(pets))
    assert again.fingerprint == dataset.fingerprint
    assert again.names == dataset.names
    assert [dataset.names[i] for i in train.id[[0, 4]]] == [
        "train/cat/000.png",
        "train/dog/001.png",
    ]


def test_a_changed_image_is_noticed(pets, tmp_path):
    first = make("image_folder", tmp_path / "cache", path=str(pets))
    path = pets / "train" / "cat" / "000.png"
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(path)
    second = make("image_folder", tmp_path / "cache", path=str(pets))
    assert second.fingerprint != first.fingerprint
    assert second.sources["train"].x[0].max() == 0


def test_a_single_tree_is_divided_by_file_name(tmp_path):
    for k, label in enumerate("ab"):
        write_images(tmp_path / "tree" / label, 100, mode="L", seed=k)
    config = {"path": str(tmp_path / "tree"), "test_fraction": 0.3}
    dataset = make("image_folder", tmp_path / "cache", **config)
    count = len(dataset.sources["test"].y)
    for row in (0, -1):
        name = dataset.names[dataset.sources["train"].id[row]]
        pixels = np.asarray(Image.open(tmp_path / "tree" / name))
        np.testing.assert_array_equal(dataset.sources["train"].x[row, ..., 0], pixels)
    assert 40 <= count <= 80
    assert count + len(dataset.sources["train"].y) == 200
    assert dataset.sources["train"].x.shape[-1] == 1
    # A further image moves none of the others from one side to the other.
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "tree" / "b" / "new.png")
    grown = make("image_folder", tmp_path / "cache", **config)
    assert len(grown.sources["test"].y) - count in (0, 1)
    a = dataset.sources["test"].y == 0
    np.testing.assert_array_equal(
        grown.sources["test"].x[grown.sources["test"].y == 0], dataset.sources["test"].x[a]
    )


def test_images_of_different_sizes_need_an_image_size(pets, tmp_path):
    write_images(pets / "train" / "cow", 1, size=(9, 9))
    with pytest.raises(ConfigError, match=r"differ in size.*set dataset\.image_size"):
        make("image_folder", tmp_path / "cache", path=str(pets))
    dataset = make("image_folder", tmp_path / "cache", path=str(pets), image_size=6)
    assert dataset.sources["train"].x.shape == (7, 6, 6, 3)
    picture = Image.open(pets / "train" / "cow" / "000.png")
    expected = picture.resize((6, 6), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(dataset.sources["train"].x[3], np.asarray(expected))


def test_an_unreadable_image_is_named(pets, tmp_path):
    path = pets / "test" / "cat" / "002.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=f"{path} cannot be read as an image"):
        make("image_folder", tmp_path / "cache", path=str(pets))


def test_folders_without_what_is_needed_are_refused(tmp_path, pets):
    with pytest.raises(DataError, match="there is no folder"):
        make("image_folder", tmp_path / "cache", path=str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        make("image_folder", tmp_path / "cache", path=str(tmp_path / "empty"))
    write_images(pets / "test" / "owl", 1)
    with pytest.raises(DataError, match="no training images of owl"):
        make("image_folder", tmp_path / "cache", path=str(pets))
