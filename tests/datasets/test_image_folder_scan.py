"""What of a folder is data, and that the rest is said."""

import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from junlearn.datasets import DATASETS
from junlearn.errors import DataError


def image(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")


@pytest.fixture
def root(tmp_path):
    for seed, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png")):
        image(tmp_path / "pets" / name, seed)
    return tmp_path / "pets"


def load(root, **config):
    component = DATASETS["image_folder"]
    section = component.Config(path=str(root), **{"test_fraction": 0.0} | config)
    return component.make(section, cache_dir=str(root.parent / "cache"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cat/.DS_Store", "1 hidden file"),
        ("cat/._1.png", "1 hidden file"),
        ("cat/Thumbs.db", "1 hidden file"),
        ("dog/DESKTOP.INI", "1 hidden file"),
        ("dog/1.png~", "1 hidden file"),
        ("dog/~$1.png", "1 hidden file"),
        ("cat/#3.png#", "1 hidden file"),
        ("cat/.ipynb_checkpoints/1-checkpoint.png", "1 hidden folder"),
        ("cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "1 hidden folder"),
        ("__MACOSX/cat/._1.png", "1 hidden folder"),
        ("$RECYCLE.BIN/x.png", "1 hidden folder"),
        ("System Volume Information/x.png", "1 hidden folder"),
        ("lost+found/x.png", "1 hidden folder"),
        ("#recycle/x.png", "1 hidden folder"),
        (".Trash-1000/files/x.png", "1 hidden folder"),
        ("@Recently-Snapshot/x.png", "1 hidden folder"),
        ("cat/labels.CSV", "1 .csv"),
        ("cat/deep/film.mp4", "1 .mp4"),
        ("README", "1 file without suffix"),
        ("cat/1.png:Zone.Identifier", "1 .identifier"),
        ("cat/x.\x1b[31m", "1 file of another kind"),
        ("cover.png", "1 image outside of the class folders"),
    ],
)
def test_leftovers_are_left_out_and_said(root, name, kind):
    before = load(root)
    image(root / name, 9)
    dataset = load(root)
    assert dataset.fingerprint == before.fingerprint and dataset.classes == ("cat", "dog")
    assert (before.remarks, dataset.remarks) == ((), (f"left out: {kind}",))


def test_kinds_are_counted_in_one_line(root):
    for name in ("a.txt", "b.TXT", "c.txt", ".x", "Thumbs.db", "m.mp4"):
        (root / "cat" / name).write_text("")
    assert load(root).remarks == ("left out: 3 .txt, 2 hidden files, 1 .mp4",)


@pytest.mark.parametrize("name", ["Recycled", "1~2", "#1", "@home", "train", "images", "x.png"])
def test_what_only_looks_like_a_leftover_is_a_class(root, name):
    image(root / name / "1.png", 5)
    dataset = load(root)
    assert name in dataset.classes and dataset.remarks == ()


@pytest.mark.parametrize("suffix", [".jpe", ".JFIF", ".apng", ".Webp", ".pnm", ".dib", ".tif"])
def test_suffixes_of_images(root, suffix):
    image(root / "dog" / f"2{suffix}", 5)
    assert f"dog/2{suffix}" in load(root).names


@pytest.mark.parametrize("suffix", ["HEIC", "heif", "CR2", "nef", "dng", "jxl", "svg"])
def test_images_that_cannot_be_read_here_are_an_error(root, suffix):
    (root / "cat" / f"3.{suffix}").write_bytes(b"x")
    with pytest.raises(DataError, match=rf"3\.{suffix}: {suffix.upper()} images .*convert them"):
        load(root)


def linked(source, target):
    def add(root):
        (root / source).symlink_to(root / target)

    return add


NAMES = ("cat/1.png", "cat/2.png", "dog/1.png")
TWICE = ("left out: 1 link to what is there already",)


@pytest.mark.parametrize(
    ("change", "names", "remarks"),
    [
        (linked("cat/loop", "cat"), NAMES, TWICE),
        (linked("cat/up", ""), NAMES, TWICE),
        (linked("cat/0.png", "cat/1.png"), NAMES, TWICE),
        (linked("dog/0.png", "cat/1.png"), NAMES, TWICE),
        (linked("cat/gone.png", "nowhere"), NAMES, ("left out: 1 link that leads nowhere",)),
        (linked("gone", "nowhere"), NAMES, ("left out: 1 link that leads nowhere",)),
        (linked("self", "self"), NAMES, ("left out: 1 link that leads nowhere",)),
        (linked("cat/more", "../pool"), (*NAMES[:2], "cat/more/7.png", NAMES[2]), ()),
        (linked("cat/7.png", "../pool/7.png"), (*NAMES[:2], "cat/7.png", NAMES[2]), ()),
        (linked("owl", "../pool"), (*NAMES, "owl/7.png"), ()),
        (
            linked("kitten", "cat"),
            NAMES,
            (*TWICE, "class folders without images, left out: kitten"),
        ),
    ],
)
def test_links_are_followed_once(root, change, names, remarks):
    image(root.parent / "pool" / "7.png", 7)
    change(root)
    dataset = load(root)
    assert (dataset.names, dataset.remarks) == (names, remarks)


def test_a_pipe_is_no_image(root):
    os.mkfifo(root / "cat" / "3.png")
    assert load(root).remarks == ("left out: 1 pipe or device",)


@pytest.mark.parametrize("inside", ["", ".DS_Store", "a.txt", "deep/.x.png"])
def test_an_empty_class_folder_stops_nothing(root, inside):
    (root / "owl" / "deep").mkdir(parents=True)
    if inside:
        (root / "owl" / inside).write_text("")
    dataset = load(root)
    assert dataset.classes == ("cat", "dog")
    assert dataset.remarks[-1] == "class folders without images, left out: owl"


NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_one_class_in_two_forms_of_unicode(root, tmp_path):
    image(root / NFD / "1.png")
    assert load(root).classes[0] == NFC
    image(root / NFC / "1.png")
    with pytest.raises(DataError, match="two class folders 'café'"):
        load(root)
    for part, form in (("train", NFC), ("test", NFD)):
        image(tmp_path / "divided" / part / form / "1.png", len(part))
    divided = load(tmp_path / "divided")
    assert divided.classes == (NFC,) and len(divided.sources["test"].y) == 1


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "Test"),
        ("TRAIN", "val"),
        ("training", "testing"),
        ("train", "valid"),
        ("train", "Validation"),
    ],
)
def test_names_of_the_two_parts(tmp_path, train, test):
    for part in (train, test, "extra"):
        image(tmp_path / "set" / part / "cat" / "1.png", len(part))
    dataset = load(tmp_path / "set")
    assert dataset.names == (f"{train}/cat/1.png", f"{test}/cat/1.png")
    assert dataset.apart == {"test": f"a test image (in {test})"}
    assert dataset.remarks == (f"left out beside {train} and {test}: extra",)


def test_names_that_are_no_utf8(root):
    name = os.fsdecode(b"caf\xe9.png")
    image(root / "cat" / name, 4)
    assert f"cat/{name}" in load(root, test_fraction=0.1).names
