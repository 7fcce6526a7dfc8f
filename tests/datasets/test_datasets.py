"""Datasets: what they hold, how they are cached, and what is said when something is wrong."""

import json
import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from junlearn.datasets import DATASETS, labels
from junlearn.datasets.cache import (
    Cached,
    dataset_cache_dir,
    digests,
    fingerprint,
    load_cache,
    save_cache,
)
from junlearn.datasets.prepare import prepare
from junlearn.errors import ConfigError, DataError
from junlearn.types import Data
from tests.conftest import ROOT


def make(name, cache_dir=None, progress=None, **config):
    component = DATASETS[name]
    return component.make(component.Config(**config), cache_dir=cache_dir, progress=progress)


def house_numbers(split, count):
    """Random images whose top-left pixel is the example's number, and their labels."""
    rng = np.random.default_rng(len(split))
    x = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    x[:, 0, 0, 0] = np.arange(count)
    return x, np.arange(count) % 10


def svhn_builder(name="svhn_cropped", *, data_dir, file_format="array_record"):
    """TFDS's builder of a small svhn_cropped, with the stock features, without TensorFlow."""
    import tensorflow_datasets as tfds

    class SvhnCropped(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        __module__ = "__main__"  # in a package TFDS would look for checksums of downloads
        VERSION = tfds.core.Version("3.1.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(num_classes=10),
                "id": tfds.features.Text(),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate("train", 40), "test": self._generate("test", 20)}

        def _generate_examples(self):
            raise NotImplementedError

        def _generate(self, split, count):
            x, y = house_numbers(split, count)
            for i in range(count):
                example = {"image": Image.fromarray(x[i]), "label": int(y[i])}
                yield i, example | {"id": f"{split}_{i:06d}"}

    return SvhnCropped(data_dir=str(data_dir), file_format=file_format)


@pytest.fixture(scope="session")
def svhn_template(tmp_path_factory):
    """A directory in which it is prepared."""
    data_dir = tmp_path_factory.mktemp("tfds")
    svhn_builder(data_dir=data_dir).download_and_prepare()
    return data_dir


@pytest.fixture
def svhn(svhn_template, tmp_path):
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(svhn_template, tmp_path / "tfds"))


def shard(data_dir, split):
    return next((data_dir / "svhn_cropped" / "3.1.0").glob(f"*-{split}.array_record-*"))


def the_cache(cache_dir):
    (path,) = (cache_dir / "datasets").iterdir()
    return path


# The digits


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


# Configuration


def test_every_dataset_has_a_summary_and_a_config_with_defaults():
    common = {"data_dir", "image_size", "mean", "std", "augmentation"}
    for name, component in DATASETS.items():
        config = component.Config()
        assert component.summary, name
        assert set(vars(config)) >= common, name
    assert DATASETS["cifar10"].Config().augmentation == "crop_flip"
    assert DATASETS["svhn_cropped"].Config().augmentation == "crop"
    assert DATASETS["mnist"].Config().augmentation == "none"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mean": (0.1, 0.2)}, "dataset.mean has 2 values, the images have 1 channel"),
        ({"std": (1.0, 1.0, 1.0)}, "dataset.std has 3 values"),
        ({"std": (0.0,)}, "dataset.std must be positive"),
        ({"image_size": 0}, "image_size must be at least 1"),
        ({"augmentation": "rotate"}, "unknown augmentation 'rotate'"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        make("digits", **config)


def test_configured_statistics_and_size_reach_the_views():
    dataset = make("digits", mean=(0.5,), std=(0.25,), image_size=16)
    assert dataset.input_shape == (16, 16, 1)
    rows = Data(x=np.full((1, 8, 8, 1), 255, np.uint8), y=np.zeros(1, np.int32))
    rows = jax.tree.map(jax.numpy.asarray, rows)
    x = dataset.views["eval"](rows, jax.random.split(jax.random.key(0), 1))
    np.testing.assert_allclose(x, 2.0, rtol=1e-6)


def test_class_names_are_complete():
    sizes = {"CIFAR10": 10, "CIFAR20": 20, "CIFAR100": 100, "FASHION_MNIST": 10, "DIGITS": 10}
    for name, size in sizes.items():
        assert len(set(getattr(labels, name))) == size
    assert tuple(sorted(labels.CIFAR20)) == labels.CIFAR20
    assert tuple(sorted(labels.CIFAR100)) == labels.CIFAR100
    # The classes that the published sub-class experiments forget, by their published numbers.
    known = {69: "rocket", 51: "mushroom", 2: "baby", 40: "lamp", 71: "sea"}
    assert {i: labels.CIFAR100[i] for i in known} == known


# Prepared TFDS directories


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


# The cache


def small(seed=0, **fields):
    rng = np.random.default_rng(seed)
    sources = {
        split: Data(
            x=rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8),
            y=np.arange(n, dtype=np.int32),
        )
        for split, n in (("train", 30), ("test", 7))
    }
    content = Cached("toy", "1.0", "abc", "/data/toy", sources, digests(sources), ("a", "b"))
    return content._replace(**fields)


def assert_same(a, b):
    assert set(a.sources) == set(b.sources)
    for split in a.sources:
        for left, right in zip(a.sources[split], b.sources[split], strict=True):
            assert (left is None) == (right is None)
            if left is not None:
                np.testing.assert_array_equal(left, right)
                assert left.dtype == right.dtype
    assert a._replace(sources={}) == b._replace(sources={})


def test_a_cache_comes_back_as_it_was(tmp_path):
    content = small()
    save_cache(tmp_path / "deep" / "toy.npz", content)
    assert_same(load_cache(tmp_path / "deep" / "toy.npz"), content)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["toy.npz"]


def test_no_single_damaged_byte_goes_unnoticed(tmp_path):
    """Either the file is refused, or what is read is what was written."""
    content = small()
    path = tmp_path / "toy.npz"
    save_cache(path, content)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.choice(len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert_same(load_cache(path), content)
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 200


def test_a_damaged_header_is_refused(tmp_path):
    """numpy alone would read the first 20 of the 30 images, and find nothing wrong."""
    path = tmp_path / "toy.npz"
    save_cache(path, small())
    whole = path.read_bytes()
    assert whole.count(b"(30, 4, 4, 1)") == 1
    path.write_bytes(whole.replace(b"(30, 4, 4, 1)", b"(20, 4, 4, 1)"))
    with pytest.raises(DataError, match="bad checksum"):
        load_cache(path)


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1])
def test_a_truncated_cache_is_refused(tmp_path, length):
    path = tmp_path / "toy.npz"
    save_cache(path, small())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"cannot be read.*: delete it"):
        load_cache(path)


def test_the_fingerprint_tells_arrays_apart():
    original = fingerprint(small().digests)
    assert fingerprint(small().digests) == original
    assert fingerprint(small(seed=1).digests) != original
    sources = dict(small().sources)
    sources["train"] = sources["train"]._replace(y=sources["train"].y.astype(np.int64))
    assert fingerprint(digests(sources)) != original


def test_the_second_load_reads_the_cache(svhn, tmp_path, monkeypatch):
    first = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    monkeypatch.setattr("junlearn.datasets.tfds.decode_prepared", None)
    second = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert second.fingerprint == first.fingerprint == fingerprint(digests(second.sources))
    np.testing.assert_array_equal(second.sources["train"].x, first.sources["train"].x)


def test_a_damaged_cache_is_rebuilt_and_the_log_says_so(svhn, tmp_path, caplog):
    first = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    path = the_cache(tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-1000])
    with caplog.at_level(logging.WARNING, logger="junlearn"):
        second = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert f"the cache {path} cannot be read" in caplog.text
    assert "rebuilding it" in caplog.text
    assert second.fingerprint == first.fingerprint
    load_cache(path)


def test_a_source_that_changed_gets_another_cache(svhn, tmp_path):
    make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    info = svhn / "svhn_cropped" / "3.1.0" / "dataset_info.json"
    info.write_text(info.read_text() + "\n")
    make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert len(list((tmp_path / "cache" / "datasets").iterdir())) == 2


def test_the_cache_outlives_its_source_but_serves_no_other(svhn, tmp_path):
    first = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    svhn.rename(tmp_path / "moved")
    second = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert second.fingerprint == first.fingerprint
    with pytest.raises(DataError, match="nothing prepared"):
        make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(tmp_path / "other"))
    path = the_cache(tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError) as error:
        make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert f"the cache {path} cannot be read" in str(error.value)
    assert "delete it" in str(error.value)


def test_a_cache_that_cannot_be_written_does_no_harm(svhn, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING, logger="junlearn"):
        dataset = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert len(dataset.sources["train"].y) == 40
    assert "cannot write the cache" in caplog.text


def test_concurrent_writers_leave_one_whole_cache(tmp_path):
    path = tmp_path / "toy.npz"
    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(save_cache, path, small()) for _ in range(40)]:
            job.result()
    assert_same(load_cache(path), small())
    assert list(tmp_path.iterdir()) == [path]


def run_python(code, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


LOAD_SVHN = """
import sys
blocked = sys.argv[3] == "blocked"
if blocked:
    sys.modules["tensorflow_datasets"] = None
from junlearn.datasets import DATASETS
svhn = DATASETS["svhn_cropped"]
if not blocked:
    # Both look for the cache at once: whoever came late would find it and have nothing to decode.
    import os, pathlib, time
    started = pathlib.Path(sys.argv[2] + "-started")
    started.mkdir(exist_ok=True)
    (started / str(os.getpid())).touch()
    while len(list(started.iterdir())) < 2:
        time.sleep(0.005)
print(svhn.make(svhn.Config(data_dir=sys.argv[1]), cache_dir=sys.argv[2]).fingerprint)
assert "tensorflow" not in sys.modules
assert blocked or "tensorflow_datasets" in sys.modules
"""


def test_two_processes_build_one_cache_without_tensorflow(svhn, tmp_path):
    builders = [run_python(LOAD_SVHN, svhn, tmp_path / "cache", "decode") for _ in range(2)]
    fingerprints = {builder.communicate(timeout=120)[0].strip() for builder in builders}
    assert [builder.returncode for builder in builders] == [0, 0]
    assert len(fingerprints) == 1
    load_cache(the_cache(tmp_path / "cache"))
    reader = run_python(LOAD_SVHN, svhn, tmp_path / "cache", "blocked")
    assert reader.communicate(timeout=120)[0].strip() in fingerprints
    assert reader.returncode == 0


def test_the_cache_directory_is_resolved_in_order(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JUNLEARN_CACHE_DIR", raising=False)
    assert dataset_cache_dir() == tmp_path / ".cache" / "junlearn" / "datasets"
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "env"))
    assert dataset_cache_dir() == tmp_path / "env" / "datasets"
    assert dataset_cache_dir(tmp_path / "given") == tmp_path / "given" / "datasets"


# Folders of images


def write_images(folder, count, size=(5, 4), mode="RGB", seed=0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    for i in range(count):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")


@pytest.fixture
def pets(tmp_path):
    for seed, split in enumerate(("train", "test")):
        for k, label in enumerate(("dog", "cat")):
            write_images(tmp_path / "pets" / split / label, 3, seed=10 * seed + k)
    return tmp_path / "pets"


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


# Preparing


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
