"""Digits as a file of arrays and as a table of images: the command line gives the numbers that it gives of digits."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from junlearn.main import main
from tests.datasets.made import make
from tests.tiny_run import arguments, results


@pytest.fixture(scope="module")
def digits():
    return make("digits")


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    """A folder with the same images in both forms."""
    folder = tmp_path_factory.mktemp("own")
    train, test = (digits.sources[name] for name in ("train", "test"))
    np.savez(
        folder / "own.npz",
        x_train=train.x[..., 0],
        y_train=train.y,
        ids=train.id,
        x_test=test.x,
        y_test=test.y,
        ids_test=test.id,
    )
    (folder / "images").mkdir()
    with (folder / "own.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split", "id"])
        for split, data in digits.sources.items():
            for x, y, number in zip(data.x, data.y, data.id, strict=True):
                Image.fromarray(x[..., 0]).save(folder / "images" / f"{number}.png")
                table.writerow([f"images/{number}.png", y, split, number])
    return folder


def fields(kind, folder):
    return {"name": kind, "file": str(folder / f"own.{kind}")}


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_they_are_the_same_data(digits, files, kind, tmp_path):
    section = fields(kind, files)
    own = make(section.pop("name"), tmp_path, **section)
    assert (own.fingerprint, own.classes) == (digits.fingerprint, digits.classes)
    assert own.preprocessing == digits.preprocessing


def test_the_command_line_gives_the_same_numbers(files, tmp_path, capsys):
    """And files of one content have equal settings: what was made of one is found again for the other."""
    moved = shutil.copytree(files, tmp_path / "moved")
    found = {}
    for name, dataset in {
        "digits": {"name": "digits"},
        "npz": fields("npz", files),
        "csv": fields("csv", files),
        "moved npz": fields("npz", moved),
    }.items():
        assert main(arguments(tmp_path / name, dataset=dataset)) == 0
        found[name] = results(tmp_path / name)
    capsys.readouterr()

    def without_names(rows):
        return [{**row, "config_hash": ""} for row in rows]

    for name in ("npz", "csv"):
        assert without_names(found[name]) == without_names(found["digits"])
        assert found[name] != found["digits"]
    assert found["moved npz"] == found["npz"]


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_a_request_names_ids(files, kind, tmp_path, capsys):
    train, test = (make("digits").sources[name].id for name in ("train", "test"))
    (tmp_path / "good.txt").write_text(f"{train[3]}\n{train[9]}\n")
    (tmp_path / "bad.txt").write_text(f"{train[3]}\n99999\n")
    (tmp_path / "test.txt").write_text(f"{test[0]}\n")
    dataset = fields(kind, files)
    told = {}
    for name in ("bad", "test", "good"):
        scenario = {"name": "rows", "file": str(tmp_path / f"{name}.txt"), "by": "id"}
        changes = {"dataset": dataset, "scenario": scenario}
        status = main(arguments(tmp_path, **changes))
        told[name] = (status, *capsys.readouterr())
    assert told["good"][0] == 0
    assert told["bad"][0] == told["test"][0] == 2
    assert "bad.txt, line 2: no training example of own has the id '99999'" in told["bad"][2]
    assert f"'{test[0]}' is a test image (" in told["test"][2]
    # Decoded images are said to be there, and go with a request.
    copies = told["good"][1].count("the decoded images")
    assert copies == (kind == "csv")
    command = ["cache", "purge", "--request", str(tmp_path / "good.txt"), "--config"]
    where = [str(tmp_path / "tiny.json"), "--cache-dir", str(tmp_path / "cache")]
    assert main([*command, *where, "--scenario.by", "id"]) == 0
    assert capsys.readouterr().out.count("removed: dataset own") == copies
    assert not list((tmp_path / "cache").glob("datasets/*"))


def test_a_part_of_the_images_is_purged_whole(files, tmp_path, capsys):
    (tmp_path / "r.txt").write_text("0\n")
    scenario = {"name": "rows", "file": str(tmp_path / "r.txt")}
    dataset = fields("csv", files) | {"train_per_class": 20}
    call = arguments(tmp_path, dataset=dataset, scenario=scenario, held_out=0.1)
    assert main(["cache", "purge", "--request", str(tmp_path / "r.txt"), *call[:2], *call[4:]]) == 0
    assert "removed: dataset own" in capsys.readouterr().out
