"""What every dataset takes from a configuration, and the names of classes."""

import jax
import numpy as np
import pytest

from junlearn.datasets import DATASETS, labels
from junlearn.errors import ConfigError
from junlearn.types import Data
from tests.datasets.made import make


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
