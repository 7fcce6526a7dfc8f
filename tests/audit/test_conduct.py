"""The directory of an audit: what is damaged in it is made again, a full disk costs nothing that was complete."""

import errno
import json
import os
import shutil

import pytest
from rich.console import Console

from junlearn import cli
from junlearn.audit import growth
from junlearn.audit.conduct import audit_experiment
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.progress import Reporter
from junlearn.main import main
from junlearn.reports import audit_page
from tests.kills import Syncs
from tests.tiny_audit import CONFIG, arguments, results


def page(rows, examples, path, *rest):
    """Its pictures take seconds."""
    path.write_text("page")


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "keep_compilations", lambda cache_dir: None)
        patch.setattr(audit_page, "write_page", page)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("audit")
    assert main(arguments(place)) == 0
    return place


@pytest.fixture
def place(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def networks(place):
    banks = place / "cache" / "banks"
    return {p.relative_to(banks).as_posix(): p.read_bytes() for p in banks.rglob("*.npz")}


def latest(place):
    """What was found, of each method the newest."""
    return {row["method"]: row for row in results(place)}


def test_all_devices_share_the_bank_of_one(whole, place, monkeypatch):
    monkeypatch.setattr(growth, "train_each", pytest.fail)
    assert main(arguments(place, "--loop.devices", "all", run="spread")) == 0
    assert results(place, "spread") == results(whole)


def test_one_process_fills_a_bank(tmp_path):
    together = {"devices": "all", "distributed": True}
    experiment = schema.parse(CONFIG | {"loop": together})
    with pytest.raises(
        ConfigError, match=r"audit: a bank .* one process, .*loop.distributed = false"
    ):
        audit_experiment(experiment, tmp_path / "run", str(tmp_path), Reporter(Console(quiet=True)))
    assert list(tmp_path.iterdir()) == []


def test_lines_that_are_damaged_are_made_again(whole, place, capsys, monkeypatch):
    monkeypatch.setattr(growth, "train_each", pytest.fail)
    log = place / "run" / "audit.jsonl"
    lines = log.read_text().splitlines()
    log.write_text(lines[0] + "\n" + lines[1].replace("p_holm", "q_holm") + "\n" + lines[2][:99])
    assert main(arguments(place)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "audit.jsonl" in out and "checksum does not fit" in out
    assert latest(place) == latest(whole) and log.with_name("audit.jsonl.damaged").exists()


def test_arrays_that_are_damaged_are_made_again(whole, place, capsys, monkeypatch):
    monkeypatch.setattr(growth, "train_each", pytest.fail)
    found = sorted((place / "run" / "audit").glob("*.npz"))
    found[0].write_bytes(b"half")
    found[1].unlink()
    assert main(arguments(place)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("cannot be read") == 2 and all(path.name in out for path in found[:2])
    for path in found:
        assert path.read_bytes() == (whole / "run" / "audit" / path.name).read_bytes()
    assert latest(place) == latest(whole)


def test_a_damaged_network_is_made_again_and_its_lines_stay(whole, place, capsys):
    path = next(place.rglob("banks/*/retrain-00002.npz"))
    path.write_bytes(path.read_bytes()[:1000])
    assert main(arguments(place)) == 0
    assert "retrain-00002 of bank" in capsys.readouterr().out
    assert networks(place) == networks(whole) and results(place) == results(whole)


@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_what_is_made_anew_is_judged_again(whole, place, monkeypatch, fresh):
    monkeypatch.setattr(growth, "train_each", pytest.fail)
    assert main(arguments(place, *fresh)) == 0
    assert len(results(place)) == (6 if fresh else 3) and latest(place) == latest(whole)


@pytest.mark.parametrize(
    ("code", "filled", "number"),
    [
        (errno.ENOSPC, False, 1),
        (errno.EDQUOT, False, 12),
        *((errno.ENOSPC, True, number) for number in (2, 4, 5, 8)),
    ],
)
def test_a_full_disk_is_one_line_and_loses_nothing(
    whole, tmp_path, capfd, monkeypatch, code, filled, number
):
    """At the first write, in the bank, and at the arrays and lines behind it."""
    if filled:
        shutil.copytree(whole / "cache", tmp_path / "cache")
        next(tmp_path.rglob("twin-00003.npz")).unlink()
    capfd.readouterr()
    with monkeypatch.context() as patch:
        Syncs(patch, left=number, fault=lambda: OSError(code, os.strerror(code)))
        assert main(arguments(tmp_path)) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and err.startswith("junlearn: ") and os.strerror(code) in err
    assert networks(tmp_path).items() <= networks(whole).items()
    assert not list(tmp_path.rglob(".*.tmp"))
    assert main(arguments(tmp_path)) == 0
    assert networks(tmp_path) == networks(whole) and results(tmp_path) == results(whole)


def test_a_directory_that_another_audit_uses_is_one_line(place, capfd):
    import fcntl

    with (place / "run" / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        capfd.readouterr()
        assert main(arguments(place)) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "in use by another run" in err


def test_the_record_has_all_that_is_needed_to_repeat_it(whole):
    rows = [json.loads(line) for line in (whole / "run" / "audit.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["config"]["audit"]["models"] == 8 and row["config"]["scenario"]["classes"] == [0]
        assert row["versions"]["junlearn"] and row["bank_hash"] and row["time"]
