"""Banks of audits in `cache list` and `cache purge`: they go with their data, and nothing else does."""

import fcntl
import json

import pytest
from rich.console import Console

from junlearn import cli, files
from junlearn.experiment import preparing, stored
from junlearn.experiment.progress import Reporter
from tests.commands.test_cache import MARKS, REQUEST, call, there


def bank(place, name, **made):
    """A bank as an audit leaves one: a network of each kind, and one of a method."""
    directory = place / "banks" / name
    (directory / "unlearned" / "finetune-0a").mkdir(parents=True)
    for file in ("original-00000", "retrain-00001", "twin-00002", "run-00003"):
        (directory / f"{file}.npz").write_bytes(b"x")
    for file in ("00000.npz", "00001.npz.damaged", "bank.json", ".lock"):
        (directory / "unlearned" / "finetune-0a" / file).write_bytes(b"x")
    (directory / "bank.json").write_text(json.dumps(made))
    (directory / "made.jsonl").write_text("{}\n")
    (directory / ".lock").write_text("")
    return directory


@pytest.fixture
def banks(tmp_path):
    place = tmp_path / "banks"
    for seed, name in enumerate(MARKS):
        bank(place, f"f{seed}" * 8, dataset=name, fingerprint=MARKS[name], role="request")
    return place


def test_banks_of_audits_are_listed_and_go_with_their_dataset(banks, capsys):
    status, out, _ = call(capsys, "list", "--cache-dir", str(banks))
    assert status == 0 and "bank faces request" in out and "bank cats request" in out
    status, out, _ = call(capsys, "purge", "--dataset", "faces", "--cache-dir", str(banks))
    assert status == 0 and out.count("removed: ") == 1 and there(banks) == {"bank f1f1f"}
    assert call(capsys, "purge", "--all", "--cache-dir", str(banks))[0] == 0
    assert files.tree(banks) == []


@pytest.mark.parametrize(
    "name",
    [
        *("photo.jpg", "photo-00001.npz", "00001.npz", "retrain-1.npz", "original-00001.npz.bak"),
        *("unlearned/photo.npz", "unlearned/finetune-0a/photo.npz", "unlearned/a/b/00001.npz"),
        *("mine/bank.json", "retrain-00001.npz/mine.txt"),
    ],
)
def test_what_is_not_of_a_bank_stays_in_it_and_is_said(banks, capsys, name):
    path = banks / "banks" / ("f0" * 8) / name
    if path.parent.is_file():
        path.parent.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    _, out, _ = call(capsys, "purge", "--all", "--cache-dir", str(banks))
    assert path.read_bytes() == b"mine" and "is no file of a bank: delete it by hand" in out
    assert f"{name!r} in it" in out and len(files.tree(banks)) == 1


@pytest.mark.parametrize("folder", ["", "unlearned/finetune-0a"])
def test_a_bank_that_is_being_filled_stays(banks, capsys, folder):
    with open(banks / "banks" / ("f0" * 8) / folder / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _, out, _ = call(capsys, "purge", "--all", "--cache-dir", str(banks))
    assert "not removed (it is in use by a run): bank faces request" in out
    assert there(banks) == {"bank f0f0f"}


def test_a_bank_that_does_not_say_its_data_is_said(banks, capsys):
    (banks / "banks" / ("f1" * 8) / "bank.json").write_bytes(b"\xff")
    _, out, _ = call(capsys, "purge", "--dataset", "faces", "--cache-dir", str(banks))
    assert "1 networks do not say what they learned from" in out
    assert there(banks) == {"bank f1f1f"}


def test_a_request_takes_the_banks_of_its_data(banks, capsys, tmp_path):
    """Methods started from networks that learned the rows; other data's banks stay."""
    (tmp_path / "c.toml").write_text(REQUEST)
    (tmp_path / "r.txt").write_text("3\n5\n")
    own, rest = cli.split_arguments(["--config", str(tmp_path / "c.toml")])
    reporter = Reporter(Console(quiet=True))
    found = preparing.prepare(cli.experiment(own, rest), str(banks), reporter)
    place = bank(banks, "ab" * 8, dataset="digits", fingerprint=found.dataset.fingerprint)
    told = stored.copies(found.dataset.marks, [], str(banks))
    assert told == [f"the networks of audits {place}"]
    command = ["purge", "--request", str(tmp_path / "r.txt"), "--config", str(tmp_path / "c.toml")]
    status, out, _ = call(capsys, *command, "--cache-dir", str(banks))
    assert status == 0 and out.count("removed: ") == 1
    assert there(banks) == {"bank f0f0f", "bank f1f1f"}
