"""The command that has TFDS download and prepare."""

import pytest

from junlearn.datasets.prepare import prepare
from junlearn.errors import ConfigError, DataError
from tests.datasets.made import make, shard, svhn_builder


def test_prepare_names_the_nearest_dataset():
    with pytest.raises(ConfigError, match="unknown dataset 'minst'; did you mean 'mnist'"):
        prepare(["minst"])


def test_prepare_leaves_alone_what_is_there(svhn):
    lines = prepare(["digits", "svhn_cropped"], svhn)
    assert lines == [
        "digits: comes with scikit-learn; nothing to prepare",
        f"svhn_cropped: already prepared in {svhn}/svhn_cropped/3.1.0",
    ]


def test_prepare_without_tensorflow_says_what_to_install(svhn, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'junlearn\[prepare\]'"):
        prepare(["mnist"], svhn)
    shard(svhn, "test").unlink()
    with pytest.raises(ConfigError, match="svhn_cropped: preparing"):
        prepare(["svhn_cropped"], svhn)


def test_prepare_writes_what_the_loader_reads(svhn, tmp_path, monkeypatch):
    """Also where a damaged shard was deleted, as the message about it says."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    monkeypatch.setattr("tensorflow_datasets.builder", svhn_builder)
    shard(svhn, "train").unlink()
    for data_dir in (svhn, tmp_path / "new"):
        (line,) = prepare(["svhn_cropped"], data_dir)
        written = data_dir / "svhn_cropped" / "3.1.0"
        assert line == (f"svhn_cropped: wrote {written} (train 40, test 20 examples, array_record)")
        dataset = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(data_dir))
        assert len(dataset.sources["train"].y) == 40


def test_a_failure_while_preparing_is_one_line(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    monkeypatch.setattr("tensorflow_datasets.builder", unreachable)
    with pytest.raises(DataError, match=r"mnist: TFDS could not prepare it.*no route to host"):
        prepare(["mnist"], tmp_path)


def test_prepare_refuses_a_format_without_random_access(svhn):
    info = svhn / "svhn_cropped" / "3.1.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(DataError, match="format tfrecord"):
        prepare(["svhn_cropped"], svhn)
