"""Deleted images may leave the dataset; whatever else of it changes is refused."""

import numpy as np
import pytest
from PIL import Image

from junlearn.datasets import DATASETS
from junlearn.errors import DamagedError
from junlearn.ledger import facts, scene, verify
from tests.ledger.small import (
    Begun,
    forget,
    ids,
    init,
    lines,
    networks,
    refused,
    same_bits,
)


@pytest.fixture(scope="module")
def first(begun, tmp_path_factory):
    """A ledger with one request."""
    place = begun.copy(tmp_path_factory.mktemp("first"))
    assert forget(place, ids(0, 1, 2)) == 0
    return Begun(place)


def change(monkeypatch, edit):
    """From now on the data are others."""
    read = scene.read

    def changed(*arguments):
        dataset, surrogate = read(*arguments)
        return edit(dataset)._replace(fingerprint="0" * 32), surrogate

    monkeypatch.setattr(scene, "read", changed)


def without(*rows):
    def edit(dataset):
        train = dataset.sources["train"]
        kept = np.setdiff1d(np.arange(len(train.y)), rows)
        return dataset._replace(sources={**dataset.sources, "train": train.take(kept)})

    return edit


def edited(source, **columns):
    def edit(dataset):
        data = dataset.sources[source]
        new = {name: function(np.array(getattr(data, name))) for name, function in columns.items()}
        return dataset._replace(sources={**dataset.sources, source: data._replace(**new)})

    return edit


def test_files_of_deleted_images_can_be_removed(tmp_path):
    """The numbers of all images behind them move up, those of the test set too."""
    photos = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{number:02d}.png")
    dataset = {"name": "image_folder", "path": str(photos), "image_size": 4}
    assert init(tmp_path, dataset=dataset) == 0
    data = DATASETS["image_folder"]
    found = data.make(data.Config(path=str(photos), image_size=4), cache_dir=str(tmp_path / "c"))
    names = [found.names[i] for i in found.sources["train"].id]
    assert forget(tmp_path, names[:2]) == 0
    for name in names[:2]:
        (photos / name).unlink()
    assert forget(tmp_path, names[2:3]) == 0
    line = lines(tmp_path)[2]
    assert line["deleted"] == 3 and line["request"]["names"] == names[2:3]
    # Both caches hold images that were deleted later.
    remains = facts(tmp_path / "ledger", str(tmp_path / "cache"))["remains"]
    assert len([words for words in remains if words.startswith("decoded images")]) == 2


def put(row, value):
    def function(array):
        array[row] = value
        return array

    return function


def test_images_that_were_deleted_can_leave_the_dataset(first, tmp_path, monkeypatch):
    """All later requests come to the same bits."""
    stayed, left = (first.copy(tmp_path / name) for name in ("stayed", "left"))
    for place in (stayed, left):
        if place is left:
            change(monkeypatch, without(0, 1, 2))
        assert forget(place, ids(3, 4)) == 0
        assert forget(place, [7], "--by", "row", "--with-twins") == 0
    same_bits(stayed, left)
    assert lines(left)[3]["fingerprint"] == "0" * 32
    assert [line["metrics"] for line in lines(stayed) if "metrics" in line] == [
        line["metrics"] for line in lines(left) if "metrics" in line
    ]
    assert verify(left / "ledger")["requests"] == 3


@pytest.mark.parametrize("rows", [(0,), (1, 2)])
def test_some_of_them_can(first, tmp_path, monkeypatch, capsys, rows):
    place = first.copy(tmp_path)
    change(monkeypatch, without(*rows))
    assert forget(place, ids(3)) == 0
    refused(capsys, forget(place, [0, 5], "--by", "row"), "were deleted before")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            without(0, 9),
            "1 images of the data are gone that the ledger has not deleted, first that of row 9",
        ),
        (edited("train", x=put(9, 7)), f"are not as they were when the ledger began: {ids(9)[0]}"),
        (edited("train", y=put(9, 5)), f"are not as they were when the ledger began: {ids(9)[0]}"),
        (edited("train", id=put(9, 5000)), "not there when the ledger began: 5000"),
        (edited("test", x=put(0, 7)), "the data are not those that the ledger began with"),
        (
            lambda dataset: dataset._replace(classes=dataset.classes[:-1]),
            "the data are not those that the ledger began with",
        ),
    ],
)
def test_anything_else_is_refused(first, tmp_path, monkeypatch, capsys, edit, said):
    place = first.copy(tmp_path)
    change(monkeypatch, edit)
    refused(capsys, forget(place, ids(3)), said)
    assert len(networks(place)) == 2


def test_a_part_that_is_drawn_cannot_be_put_back(tmp_path, monkeypatch, capsys):
    assert init(tmp_path, held_out=0.1) == 0
    assert lines(tmp_path)[0]["roll"] is None
    assert forget(tmp_path, [0], "--by", "row") == 0
    change(monkeypatch, without(0))
    refused(capsys, forget(tmp_path, [3], "--by", "row"), "the data are not those")


def test_the_roll_is_verified(first, tmp_path):
    place = first.copy(tmp_path)
    path = place / "ledger" / "roll.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=r"roll.npz is not as it was"):
        verify(place / "ledger")
    path.unlink()
    with pytest.raises(DamagedError, match=r"roll.npz \(line 1\) is missing"):
        verify(place / "ledger")
