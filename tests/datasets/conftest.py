"""A prepared dataset and a folder of images that a test may damage."""

import shutil
from pathlib import Path

import pytest

from tests.datasets.made import svhn_builder, write_images


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


@pytest.fixture
def pets(tmp_path):
    for seed, split in enumerate(("train", "test")):
        for k, label in enumerate(("dog", "cat")):
            write_images(tmp_path / "pets" / split / label, 3, seed=10 * seed + k)
    return tmp_path / "pets"
