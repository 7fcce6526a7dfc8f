"""Directories that TFDS prepared."""

import json

import numpy as np
import pytest

from junlearn.errors import ConfigError, DataError
from junlearn.experiment import stored
from tests.datasets.made import house_numbers, make, shard, the_cache


def test_svhn_is_read_from_a_prepared_directory(svhn, tmp_path):
    calls = []
    dataset = make(
        "svhn_cropped",
        cache_dir=tmp_path / "cache",
        progress=lambda done, total: calls.append((done, total)),
        data_dir=str(svhn),
    )
    assert set(dataset.sources) == {"train", "test"}
    for split, count in (("train", 40), ("test", 20)):
        data = dataset.sources[split]
        x, y = house_numbers(split, count)
        assert sorted(data.id) == list(range(count))
        np.testing.assert_array_equal(data.x, x[data.id])
        np.testing.assert_array_equal(data.y, y[data.id])
        assert (data.x.dtype, data.y.dtype, data.id.dtype) == (np.uint8, np.int32, np.int32)
    assert calls == [(40, 60), (60, 60)]
    assert (dataset.name, dataset.version) == ("svhn_cropped", "3.1.0")
    assert dataset.input_shape == (32, 32, 3)


def test_tfds_data_dir_is_read_from_the_environment(svhn, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(svhn))
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "mine"))
    make("svhn_cropped")
    assert the_cache(tmp_path / "mine").name.startswith("svhn_cropped-3.1.0-")


def test_a_directory_is_read_by_its_path(svhn, tmp_path):
    for path in (svhn / "svhn_cropped", svhn / "svhn_cropped" / "3.1.0"):
        dataset = make("tfds_directory", cache_dir=tmp_path / "cache", path=str(path))
        assert dataset.name == "svhn_cropped"
        assert dataset.classes == tuple("0123456789")
        assert len(dataset.sources["test"].y) == 20
    the_cache(tmp_path / "cache")  # one for both


def test_a_single_split_is_train_and_part_of_it_test(svhn, tmp_path):
    info = svhn / "svhn_cropped" / "3.1.0" / "dataset_info.json"
    content = json.loads(info.read_text())
    content["splits"] = [split for split in content["splits"] if split["name"] == "train"]
    content["splits"][0]["name"] = "validation"
    template = content["splits"][0]["filepathTemplate"].replace("{SPLIT}", "train")
    content["splits"][0]["filepathTemplate"] = template
    info.write_text(json.dumps(content))
    counts = {}
    for fraction in (0.0, 0.25):
        dataset = make(
            "tfds_directory",
            cache_dir=tmp_path / "cache",
            path=str(info.parent),
            test_fraction=fraction,
        )
        counts[fraction] = [len(dataset.sources[split].y) for split in ("train", "test")]
        # The images are cut after they were decoded, and are found in the cache all the same.
        (copy,) = stored.copies(dataset.marks, [], str(tmp_path / "cache"))
        assert copy.startswith("the decoded images")
    assert counts == {0.0: [40, 0], 0.25: [30, 10]}


@pytest.mark.parametrize("name", ["tfds_directory", "image_folder"])
def test_a_path_is_asked_for(name):
    with pytest.raises(ConfigError, match=r"dataset\.path is empty"):
        make(name)


def test_what_is_not_prepared_comes_with_the_command(tmp_path):
    with pytest.raises(DataError) as error:
        make("mnist", cache_dir=tmp_path, data_dir=str(tmp_path / "nowhere"))
    assert f"nothing prepared in {tmp_path}/nowhere/mnist" in str(error.value)
    command = f"python -m junlearn.main prepare mnist --data-dir {tmp_path}/nowhere"
    assert command in str(error.value)


def test_a_format_without_random_access_is_refused(svhn, tmp_path):
    info = svhn / "svhn_cropped" / "3.1.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(DataError, match=r"format tfrecord.*prepare it again as array_record"):
        make("svhn_cropped", cache_dir=tmp_path, data_dir=str(svhn))


@pytest.mark.parametrize("damage", ["half", "empty", "flipped", "missing"])
def test_a_damaged_shard_is_named(svhn, tmp_path, damage):
    path = shard(svhn, "test")
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        for i in range(20_000, 20_010):
            content[i] ^= 0xFF
        path.write_bytes(content)
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2 if damage == "half" else 0])
    with pytest.raises(DataError) as error:
        make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert f"{path} is {'missing' if damage == 'missing' else 'truncated or damaged'}" in str(
        error.value
    )
    assert "delete it and prepare again: python -m junlearn.main prepare" in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_damaged_metadata_are_named(svhn, tmp_path):
    directory = svhn / "svhn_cropped" / "3.1.0"
    (directory / "features.json").write_text("{")
    with pytest.raises(DataError, match=f"{directory}: the metadata cannot be read"):
        make("svhn_cropped", cache_dir=tmp_path, data_dir=str(svhn))
