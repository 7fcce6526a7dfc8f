"""Several jobs that fill the banks of an audit together, and the audit that judges what they made."""

import threading
from contextlib import ExitStack

import pytest

from junlearn import cli
from junlearn.audit import growth, unlearning
from junlearn.errors import ConfigError
from junlearn.experiment.locks import InUse, exclusive
from junlearn.main import main
from junlearn.reports import audit_page
from tests.audit.small import networks
from tests.tiny_audit import CONFIG, arguments, results

SIXTEEN = {"audit": CONFIG["audit"] | {"models": 16}}
"""Two chunks of each ensemble."""


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    # Its pictures take seconds.
    monkeypatch.setattr(audit_page, "write_page", lambda rows, examples, path, *_: path.touch())


def said(capsys, words, status=0):
    capsys.readouterr()
    assert main(words) == status
    out, err = capsys.readouterr()
    return out if status == 0 else err


def test_jobs_fill_what_an_audit_judges(tmp_path, capsys, monkeypatch):
    words, banks = arguments(tmp_path, **SIXTEEN), tmp_path / "cache" / "banks"
    out = said(capsys, [*words, "--shard", "0/2"])
    assert "shard 0/2: 24 of 48 networks to train" in out and "without --shard judges" in out
    assert not (tmp_path / "run").exists()
    made = networks(banks)
    assert {name.rpartition("-")[2] for name in made if "original" in name} == {
        f"{number:05d}.npz" for number in range(8)
    }
    assert len(made) == 32
    # Another job is at work all the time: they keep nobody out.
    with ExitStack() as held:
        for folder in {path.parent for path in banks.rglob("*.npz")}:
            held.enter_context(exclusive(folder, shared=True))
        timer = threading.Timer(60, held.close)
        timer.start()
        out = said(capsys, [*words, "--shard", "1/2"])
        timer.cancel()
    assert "in use" not in out and len(networks(banks)) == 64
    for module, name in ((growth, "train_each"), (unlearning, "unlearn_each")):
        monkeypatch.setattr(module, name, pytest.fail)
    said(capsys, words)
    monkeypatch.undo()
    plain_words = arguments(tmp_path / "plain", **SIXTEEN)
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    monkeypatch.setattr(audit_page, "write_page", lambda rows, examples, path, *_: path.touch())
    said(capsys, plain_words)
    # The bits of every network are those that one process alone gives it.
    assert networks(banks) == networks(tmp_path / "plain" / "cache" / "banks")
    assert results(tmp_path) == results(tmp_path / "plain")


def test_runs_and_what_they_forget_go_together(tmp_path, capsys):
    design = {"design": "random", "models": 16, "targets": 64}
    words = arguments(tmp_path, audit=design)
    out = said(capsys, [*words, "--shard", "1/4"])
    assert "shard 1/4: 8 of 32 networks to train" in out
    found = [name.partition("/")[2] for name in networks(tmp_path / "cache" / "banks")]
    runs = {int(name[4:9]) for name in found if name.startswith("run-")}
    asked = {int(name[-9:-4]) for name in found if name.startswith("unlearned/")}
    assert runs == set(range(8, 16)) and asked == set(range(16, 32))


def test_what_a_job_cannot_do(tmp_path, capsys):
    words = arguments(tmp_path)
    out = said(capsys, [*words, "--shard", "3/4"])
    assert "shard 3/4: there are 3 chunks of networks, nothing to do" in out
    err = said(capsys, [*words, "--shard", "4/4"], status=2)
    assert "audit: argument --shard: expected I/N" in err
    one = {"originals": "one", "compat": ["one_original"]}
    words = arguments(tmp_path, audit=CONFIG["audit"] | one)
    err = said(capsys, [*words, "--shard", "0/2"], status=2)
    assert err.count("\n") == 1 and "leave --shard out" in err
    assert not (tmp_path / "cache" / "banks").exists()


def test_who_shares_a_directory_keeps_out_who_wants_it_alone(tmp_path):
    refused = pytest.raises(InUse, match="is in use by another run")
    both = (exclusive(tmp_path, shared=True), exclusive(tmp_path, shared=True))
    with both[0], both[1], refused, exclusive(tmp_path):
        pass
    with exclusive(tmp_path), pytest.raises(ConfigError), exclusive(tmp_path, shared=True):
        pass
