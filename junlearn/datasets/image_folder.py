"""Images in one folder a class: `train` with `test` or `val` beside it, or one tree to divide.

A class is a folder that is not hidden; its name (in Unicode's form NFC) is the name of the class, and the images at any
depth below it are its images. `junlearn.datasets.folder_scan` says what is an image, what is out, and how links are
followed; `junlearn.datasets.pixels` says how photographs are read. A class folder without images is no class. What was
left out or changed stands in `Dataset.remarks`.

Tiny-ImageNet is read as it is distributed: the test images are those of `val/images`, whose classes are in
`val/val_annotations.txt`, and the unlabelled images of `test` are left out.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from junlearn.datasets.annotations import ANNOTATIONS, labels_of
from junlearn.datasets.config import DatasetConfig, Progress
from junlearn.datasets.decode_files import ImageFile
from junlearn.datasets.folder_scan import Found, folders_in, images_below, left_out
from junlearn.datasets.holdout import by_hash, check_fraction, hashed_out
from junlearn.datasets.image_files import Files, load
from junlearn.errors import ConfigError, DataError
from junlearn.fields import Fraction
from junlearn.types import Dataset

__all__ = ["Config", "make"]

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""Names of the two parts, in letters of either case; of several the first."""


@dataclass(frozen=True, kw_only=True)
class Config(DatasetConfig):
    """A folder of images; `data_dir` is not read.

    Hidden and system files and folders are out, files that are no images too; one line says how many of which kind.
    Links are followed, and what they reach twice counts once. An image that cannot be read is an error. Images are
    turned as their EXIF data say; transparent pixels are laid on white; of several frames the first is taken.

    With `image_size` the images are resized when they are decoded (Pillow, bilinear with antialias), and with `crop`
    cropped then. Colour images are normalised by ImageNet's statistics, grey ones are only scaled to [0, 1].
    """

    path: str = ""
    """The folder that holds `train` and `test` (or `val`), or the folders of the classes; Tiny-ImageNet's as well."""
    test_fraction: Fraction = 0.2
    """Of a single tree, about which part becomes `test`: a hash of each file's name decides."""


def make(
    config: Config, *, cache_dir: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Load the folder `config.path`; classes are the folders' names, sorted, `Dataset.names` the paths of the images.

    Raises ConfigError without a path, or where images differ in size and no `image_size` is given;
    DataError if the folder is missing, has no images, or has one that cannot be read, and if the annotations of
    Tiny-ImageNet do not fit its images.
    """
    if not config.path:
        raise ConfigError("dataset.path is empty; image_folder needs a folder of images")
    check_fraction(config.test_fraction)
    root = Path(config.path).expanduser().absolute()
    files = _tree(root, config.test_fraction)
    if not files.train:
        raise DataError(f"{root} has no training images (test_fraction is {config.test_fraction})")
    names = tuple(image.path.relative_to(root).as_posix() for image in files.train + files.test)
    return load(config, files._replace(names=names), "folder", cache_dir, progress)


def _tree(root: Path, test_fraction: float) -> Files:
    """The images of `train` and `test` below `root`. Raises DataError where there is no such folder."""
    if not root.is_dir():
        raise DataError(f"image_folder: there is no folder {root}")
    others: Counter[str] = Counter()
    top = folders_in(root, others)
    trains, tests = _first_of(TRAIN, top), _first_of(TEST, top)
    if trains is not None and (tests or top == [trains] or folders_in(trains, Counter())):
        return _two_parts(root, trains, tests, top, others)
    classes = _by_label(root, top)
    found = images_below(list(classes.values()))
    images = _images(classes, found, root)
    names = [os.fsencode(image.path.relative_to(root).as_posix()) for image in images]
    out = by_hash(names, test_fraction)
    train, test = (
        [image for image, tested in zip(images, out, strict=True) if tested == part]
        for part in (False, True)
    )
    remarks = left_out(others + found.others) + _empty(classes, found)
    return Files(root.name, root, train, test, hashed_out(test_fraction), remarks=remarks)


def _two_parts(
    root: Path, train: Path, test: Path | None, top: Sequence[Path], others: Counter[str]
) -> Files:
    """The images of a folder that is divided already; of the folders in `top` those of the two parts."""
    classes = _by_label(train, folders_in(train, others))
    annotated = _first_of(("val",), top)
    if annotated is not None and (annotated / ANNOTATIONS).is_file():
        test = annotated / "images"
        found = images_below([*classes.values(), test])
        labels = labels_of(annotated / ANNOTATIONS, found.images[-1], set(classes))
        tests = sorted((ImageFile(*labelled) for labelled in labels.items()), key=_by_class)
        of_tests: dict[str, Path] = {}
    elif test is None:
        raise DataError(f"{root} has a folder {train.name}, and neither test nor val beside it")
    else:
        below = folders_in(test, others)
        if [p.name for p in below] == ["images"] and "images" not in classes:
            raise DataError(
                f"{test} has no class folders but images, as in Tiny-ImageNet, "
                f"and {root / 'val' / ANNOTATIONS} is missing"
            )
        of_tests = _by_label(test, below)
        found = images_below([*classes.values(), *of_tests.values()])
        tests = _images(of_tests, found._replace(images=found.images[len(classes) :]), test)
    apart = next(p for p in top if test is not None and (p == test or p in test.parents))
    unused = [p.name for p in top if p not in (train, apart)]
    remarks = left_out(others + found.others)
    if unused:
        remarks += (f"left out beside {train.name} and {apart.name}: {', '.join(unused)}",)
    remarks += _empty(classes | {f"{apart.name}/{k}": v for k, v in of_tests.items()}, found)
    images = _images(classes, found, train)
    return Files(root.name, root, images, tests, f"a test image (in {apart.name})", remarks=remarks)


def _first_of(names: Sequence[str], folders: Sequence[Path]) -> Path | None:
    """The folder of the first of `names` that there is; one in small letters before the others."""
    for name in names:
        same = [folder for folder in folders if folder.name.lower() == name]
        if same:
            return max(same)
    return None


def _by_label(folder: Path, classes: Sequence[Path]) -> dict[str, Path]:
    """The class folders by name. Raises DataError where there are none, or two of one name in different forms."""
    if not classes:
        raise DataError(f"{folder} has no class folders")
    labels: dict[str, Path] = {}
    for path in classes:
        label = unicodedata.normalize("NFC", path.name)
        if label in labels:
            raise DataError(
                f"{folder} has two class folders {label!r}, in different forms of Unicode: put them together"
            )
        labels[label] = path
    return labels


def _images(classes: dict[str, Path], found: Found, folder: Path) -> list[ImageFile]:
    """The images of the classes, in their order. Raises DataError where there are none."""
    below = zip(classes, found.images, strict=False)
    images = [ImageFile(path, label) for label, paths in below for path in paths]
    if not images:
        raise DataError(f"{folder} has no images in its class folders")
    return images


def _empty(classes: dict[str, Path], found: Found) -> tuple[str, ...]:
    """A line on class folders without images; none if there are none."""
    names = [label for label, images in zip(classes, found.images, strict=False) if not images]
    return (f"class folders without images, left out: {', '.join(names)}",) if names else ()


def _by_class(image: ImageFile) -> tuple[str, Path]:
    return image.label, image.path
