"""PatchCamelyon from a prepared directory, and Tiny-ImageNet as it is distributed."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from junlearn.datasets import DATASETS
from junlearn.errors import DataError
from tests.prepared import images, prepare


def make(name, cache_dir, **config):
    component = DATASETS[name]
    return component.make(component.Config(**config), cache_dir=cache_dir)


# PatchCamelyon

COUNTS = {"train": 6, "validation": 2, "test": 4}


def tissue(split):
    """The images, and their labels."""
    return images(split, COUNTS[split], 96), np.arange(COUNTS[split]) % 2


def prepare_camelyon(data_dir, side=96):
    prepare(data_dir, "patch_camelyon", version="2.0.0", counts=COUNTS, side=side, classes=2)


@pytest.fixture(scope="module")
def camelyon(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    prepare_camelyon(data_dir)
    return data_dir


def test_patch_camelyon_is_stored_cropped(camelyon, tmp_path):
    dataset = make("patch_camelyon", tmp_path, data_dir=str(camelyon))
    assert dataset.classes == ("normal", "tumor") and dataset.name == "patch_camelyon"
    assert set(dataset.sources) == {"train", "test"} and dataset.input_shape == (32, 32, 3)
    for split in ("train", "test"):
        data = dataset.sources[split]
        x, y = tissue(split)
        assert sorted(data.id) == list(range(COUNTS[split]))
        np.testing.assert_array_equal(data.x, x[data.id, 32:64, 32:64])
        np.testing.assert_array_equal(data.y, y[data.id])
    rows = jax.tree.map(jax.numpy.asarray, dataset.sources["test"])
    view = dataset.views["eval"](rows, jax.random.split(jax.random.key(0), len(rows.y)))
    np.testing.assert_allclose(view, rows.x / 127.5 - 1, atol=1e-6)
    assert DATASETS["patch_camelyon"].Config().augmentation == "crop_flip"


def test_a_crop_has_a_cache_of_its_own(camelyon, tmp_path):
    """Whole images and central parts of one directory are not mixed up, even when the directory is gone."""
    directory = tmp_path / "tfds"
    directory.symlink_to(camelyon)
    path = str(directory / "patch_camelyon")
    cropped = make("patch_camelyon", tmp_path / "cache", data_dir=str(directory))
    whole = make("tfds_directory", tmp_path / "cache", path=path)
    assert whole.input_shape == (96, 96, 3)
    names = sorted(p.name for p in (tmp_path / "cache" / "datasets").iterdir())
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "patch_camelyon-2.0.0",
        "patch_camelyon_32-2.0.0",
    ]
    directory.unlink()
    again = make("patch_camelyon", tmp_path / "cache", data_dir=str(directory))
    assert again.fingerprint == cropped.fingerprint and again.input_shape == (32, 32, 3)
    again = make("tfds_directory", tmp_path / "cache", path=path)
    assert again.fingerprint == whole.fingerprint and again.input_shape == (96, 96, 3)


def test_images_that_are_smaller_than_the_crop_are_refused(tmp_path):
    prepare_camelyon(tmp_path, side=20)
    with pytest.raises(DataError, match=r"20×20, and their central 32×32"):
        make("patch_camelyon", tmp_path / "cache", data_dir=str(tmp_path))


def test_patch_camelyon_without_a_test_split_is_refused(camelyon, tmp_path):
    shutil.copytree(camelyon, tmp_path / "tfds")
    info = tmp_path / "tfds" / "patch_camelyon" / "2.0.0" / "dataset_info.json"
    content = json.loads(info.read_text())
    content["splits"] = [split for split in content["splits"] if split["name"] != "test"]
    info.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"no split test; .* prepare patch_camelyon"):
        make("patch_camelyon", tmp_path / "cache", data_dir=str(tmp_path / "tfds"))


# Tiny-ImageNet

CLASSES = ("n01443537", "n01629819", "n02099601")
VALIDATION = {"val_0.JPEG": 2, "val_1.JPEG": 0, "val_2.JPEG": 0, "val_3.JPEG": 1}


def write_image(path, seed, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (8, 8) if mode == "L" else (8, 8, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=100)


@pytest.fixture
def tiny(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    for number, name in enumerate(CLASSES):
        folder = root / "train" / name
        for i in range(2):
            mode = ("RGB", "L")[i]
            write_image(folder / "images" / f"{name}_{i}.JPEG", 10 * number + i, mode)
        (folder / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t1\t2\t3\n")
    lines = []
    for seed, (name, label) in enumerate(VALIDATION.items(), start=50):
        write_image(root / "val" / "images" / name, seed)
        lines.append(f"{name}\t{CLASSES[label]}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    write_image(root / "test" / "images" / "test_0.JPEG", 99)
    (root / "wnids.txt").write_text("\n".join(reversed(CLASSES)))
    return root


def load(root, tmp_path):
    return make("image_folder", tmp_path / "cache", path=str(root))


def test_tiny_imagenet_is_read_as_it_is_distributed(tiny, tmp_path):
    dataset = load(tiny, tmp_path)
    train, test = dataset.sources["train"], dataset.sources["test"]
    assert dataset.classes == CLASSES
    assert (train.x.shape, train.y.tolist()) == ((6, 8, 8, 3), [0, 0, 1, 1, 2, 2])
    assert test.y.tolist() == [0, 0, 1, 2]
    for row, number in enumerate((1, 2, 3, 0)):
        path = tiny / "val" / "images" / f"val_{number}.JPEG"
        np.testing.assert_array_equal(test.x[row], np.asarray(Image.open(path)))


def test_a_changed_annotation_is_noticed(tiny, tmp_path):
    first = load(tiny, tmp_path)
    path = tiny / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace(CLASSES[1], CLASSES[2]))
    second = load(tiny, tmp_path)
    assert second.sources["test"].y.tolist() == [0, 0, 2, 2]
    assert second.fingerprint != first.fingerprint


def unknown_class(path):
    path.write_text(path.read_text().replace(CLASSES[2], "n99999999"))


def missing_file(path):
    (path.parent / "images" / "val_2.JPEG").unlink()


def missing_line(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def twice(path):
    path.write_text(2 * path.read_text())


def without_tabs(path):
    path.write_text(path.read_text().replace("\t", " "))


def removed(path):
    path.unlink()


def not_text(path):
    path.write_bytes(b"\xff\xfe\xff")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (unknown_class, r"val_annotations\.txt, line 1: unknown class 'n99999999'"),
        (missing_file, r"line 3: there is no file .*/val/images/val_2\.JPEG"),
        (missing_line, r"val_annotations\.txt has no line for val_3\.JPEG"),
        (twice, r"line 5: val_0\.JPEG has a line already"),
        (without_tabs, r"line 1: needed are a file and its class with a tab"),
        (removed, r"class folders but images, .*val/val_annotations\.txt is missing"),
        (not_text, r"val_annotations\.txt is not a text file"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(damage, message, tiny, tmp_path):
    damage(tiny / "val" / "val_annotations.txt")
    with pytest.raises(DataError, match=message):
        load(tiny, tmp_path)
