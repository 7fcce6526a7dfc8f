"""The real datasets, as prepared in the directory that TFDS_DATA_DIR names."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from junlearn.datasets import DATASETS, labels
from tests.conftest import PLAIN_EMITTERS, ROOT

pytestmark = pytest.mark.realdata

MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


# One worker takes the tests of a dataset, which is decoded once.
cifar10 = pytest.mark.xdist_group("cifar10")


@pytest.fixture(scope="session")
def decoded(tmp_path_factory):
    """The cache directory of these tests."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def dataset(tfds_dir, decoded):
    """`dataset(name, **config)`, decoded into the cache of these tests."""

    def load(name, **config):
        component = DATASETS[name]
        config = component.Config(data_dir=str(tfds_dir), **config)
        return component.make(config, cache_dir=decoded)

    return load


def test_mnist_is_complete(dataset):
    mnist = dataset("mnist")
    train, test = mnist.sources["train"], mnist.sources["test"]
    assert np.bincount(train.y).tolist() == MNIST_COUNTS
    assert train.x.shape == (60_000, 28, 28, 1)
    assert test.x.shape == (10_000, 28, 28, 1)
    assert train.id is None
    assert mnist.input_shape == (28, 28, 1)
    # The known mean and standard deviation of MNIST's training pixels.
    np.testing.assert_allclose(train.x.mean() / 255, 0.1307, atol=1e-4)
    np.testing.assert_allclose(train.x.std() / 255, 0.3081, atol=1e-4)


@cifar10
def test_cifar10_has_balanced_classes_and_ids(dataset):
    cifar = dataset("cifar10")
    train = cifar.sources["train"]
    assert np.bincount(train.y).tolist() == [2500] * 10
    assert np.bincount(cifar.sources["test"].y).tolist() == [1000] * 10
    for data in cifar.sources.values():
        assert len(set(data.id.tolist())) == len(data.y)
        assert data.id.min() >= 0
    assert cifar.classes == labels.CIFAR10
    assert cifar.input_shape == (32, 32, 3)


def test_cifar20_and_cifar100_are_one_dataset_with_two_labels(dataset):
    coarse, fine = dataset("cifar20"), dataset("cifar100")
    # By this its images are found in the cache.
    assert fine.fingerprint != coarse.fingerprint == fine.decoded == coarse.decoded
    pairs = set()
    for split in ("train", "test"):
        np.testing.assert_array_equal(coarse.sources[split].x, fine.sources[split].x)
        np.testing.assert_array_equal(coarse.sources[split].fine, fine.sources[split].y)
        assert fine.sources[split].fine is None
        pairs |= set(zip(coarse.sources[split].y, fine.sources[split].y, strict=True))
    assert len(pairs) == 100  # each fine label lies in one super-class
    assert np.bincount([y for y, _ in pairs]).tolist() == [5] * 20
    superclass = {coarse.fine_classes[k]: coarse.classes[y] for y, k in pairs}
    assert superclass["rocket"] == "vehicles_2"
    assert superclass["mushroom"] == "fruit_and_vegetables"
    assert superclass["baby"] == "people"
    assert superclass["lamp"] == "household_electrical_devices"
    assert superclass["sea"] == "large_natural_outdoor_scenes"
    assert coarse.fingerprint != fine.fingerprint


@cifar10
def test_tiny_imagenet_is_read_by_path(dataset, tfds_dir):
    surrogate = dataset("tfds_directory", path=str(tfds_dir / "tiny_imagenet32"))
    assert surrogate.name == "tiny_imagenet32"
    assert surrogate.version == "1.0.0"
    assert surrogate.sources["train"].x.shape == (10_000, 32, 32, 3)
    assert len(surrogate.sources["test"].y) == 0
    assert len(surrogate.classes) == 200
    assert surrogate.classes[0] == "n01443537"


@cifar10
def test_scar_forgets_airplanes_with_unrelated_photographs(tmp_path, decoded):
    """A smaller form of the configuration for a CPU, in a process whose programs XLA optimises."""
    fewer = {
        "dataset.train-per-class": 300,
        "dataset.test-per-class": 200,
        "surrogate.train-per-class": 10,
        "train.epochs": 12,
        "method.learning-rate": 0.002,
        "method.batch-size": 300,
        "method.surrogate-batch-size": 250,
        "method.eval-every": 4,
        "reference": False,
    }
    command = [sys.executable, "-m", "junlearn.main", "--workdir", str(tmp_path / "w")]
    command += ["--config", str(ROOT / "configs" / "scar" / "cifar10_class_small.toml")]
    command += ["--cache-dir", str(decoded), "--methods", "scar"]
    command += ["--metrics", "accuracy", "aus", "--model.channels", "8", "16"]
    command += [part for name, value in fewer.items() for part in (f"--{name}", str(value))]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = " ".join(PLAIN_EMITTERS)
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    lines = (tmp_path / "w" / "records.jsonl").read_text().splitlines()
    before, after = (json.loads(line)["metrics"] for line in lines)
    assert before["accuracy/forget_test"] > 0.5
    assert after["accuracy/forget_test"] < 0.02
    assert after["accuracy/retain_test"] > before["accuracy/retain_test"] - 0.05
