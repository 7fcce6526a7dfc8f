"""The central square of an image, as torchvision's networks get it, and what is told of it."""

import jax
import numpy as np
import pytest
from PIL import Image

from junlearn.datasets import DATASETS
from junlearn.datasets.config import DatasetConfig, assemble
from junlearn.datasets.pixels import picture
from junlearn.engine.augment import normalise, resize
from junlearn.errors import ConfigError, DataError
from junlearn.experiment.identity import without_location
from junlearn.types import Data

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 12, 17, 2), dtype=np.uint8)


def dataset(images=IMAGES, **fields):
    sources = {"train": Data(images, np.arange(3, dtype=np.int32) % 2)}
    return assemble(
        DatasetConfig(**fields),
        name="made",
        version="1",
        digests={"train/x": "a"},
        sources=sources,
        classes=("a", "b"),
        mean=(0.5, 0.4),
        std=(0.2, 0.3),
    )


def shown(made, view="eval"):
    keys = jax.random.split(jax.random.key(0), 3)
    return np.asarray(made.views[view](made.sources["train"], keys))


def test_the_shorter_side_is_resized_and_the_middle_kept():
    made = dataset(image_size=8, crop=6)
    assert made.input_shape == (6, 6, 2)
    # 12×17 becomes 8×11, of which 1 and 2.5 are cut off: torchvision rounds to 2.
    whole = resize(normalise(IMAGES, (0.5, 0.4), (0.2, 0.3)), (8, 11))
    np.testing.assert_allclose(shown(made), whole[:, 1:7, 2:8], atol=1e-6)
    np.testing.assert_array_equal(shown(made, "augment"), shown(made))
    alone = dataset(crop=6, mean=(0.0, 0.0), std=(1.0, 1.0))
    np.testing.assert_allclose(shown(alone), IMAGES[:, 3:9, 6:12] / 255, atol=1e-6)
    assert dataset(image_size=8).input_shape == (8, 8, 2)


def test_a_photograph_is_cropped_when_it_is_read(tmp_path):
    image = Image.fromarray(IMAGES[0, ..., 0]).resize((30, 20))
    for label in "ab":
        for part in ("train", "test"):
            (tmp_path / "pets" / part / label).mkdir(parents=True)
            image.save(tmp_path / "pets" / part / label / "0.png")
    expected = np.asarray(image.resize((15, 10), Image.Resampling.BILINEAR))[1:9, 4:12]
    np.testing.assert_array_equal(picture(tmp_path / "pets/train/a/0.png", 10, 8).pixels, expected)
    folder = DATASETS["image_folder"]

    def make(**fields):
        config = folder.Config(path=str(tmp_path / "pets"), **fields)
        return folder.make(config, cache_dir=str(tmp_path / "cache"))

    made = make(image_size=10, crop=8)
    assert made.input_shape == (8, 8, 1)
    np.testing.assert_array_equal(made.sources["train"].x[0, ..., 0], expected)
    # Another cache than that of the whole images.
    assert make(image_size=10).input_shape == (10, 10, 1)
    with pytest.raises(DataError, match=r"is 30×20, and dataset\.crop 24 is more: set image_size"):
        make(crop=24)


def test_what_is_done_to_pixels_is_told():
    told = dataset(image_size=8, crop=6, mean=(0.1, 0.2)).preprocessing
    assert told == {"mean": [0.1, 0.2], "std": [0.2, 0.3], "image_size": 8, "crop": 6}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 8, "crop": 9}, r"dataset\.crop 9 must be at most dataset\.image_size 8"),
        ({"crop": 13}, r"dataset\.crop 13 is more than the images have: 12"),
    ],
)
def test_crops_that_do_not_fit(fields, message):
    with pytest.raises(ConfigError, match=message):
        dataset(**fields)


def test_networks_from_before_are_found_again():
    assert "crop" not in without_location({"name": "digits", "crop": None})
    assert without_location({"name": "digits", "crop": 6, "path": "x"}) == {
        "name": "digits",
        "crop": 6,
    }
