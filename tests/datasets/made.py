"""Small datasets for these tests: svhn_cropped as TFDS prepares it, and folders of images."""

import numpy as np
from PIL import Image

from junlearn.datasets import DATASETS


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


def shard(data_dir, split):
    return next((data_dir / "svhn_cropped" / "3.1.0").glob(f"*-{split}.array_record-*"))


def the_cache(cache_dir):
    (path,) = (cache_dir / "datasets").iterdir()
    return path


def write_images(folder, count, size=(5, 4), mode="RGB", seed=0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    for i in range(count):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
