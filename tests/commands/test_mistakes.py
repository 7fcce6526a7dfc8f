"""Mistakes in usage, configuration and files: one line, and the status."""

import fcntl
import os
import re
import shutil

import pytest

from tests.small_run import SMALL, call, records


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sed", "1"], "unknown option '--sed'; did you mean '--seed'?"),
        (["--methods", "sdd"], "unknown method 'sdd'; did you mean 'ssd'?"),
        (["--model.name", "mpl"], "unknown model 'mpl'; did you mean 'mlp'?"),
        (["--dataset.name", "digit"], "unknown dataset 'digit'; did you mean 'digits'?"),
        (["--scenario.name", "clas"], "did you mean 'class'?"),
        (["--metrics", "aus", "tw"], "unknown metric 'tw'"),
        (["--train.epochs", "-2"], "train.epochs: Expected `int` >= 1"),
        (["--train.epochs", "soon"], "--train.epochs"),
        (["--scenario.classes", "12"], "class 12 does not exist: the dataset has 10 (0 to 9)"),
        (["--scenario.classes", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "retain set is"),
        (["--scenario.name", "random", "--scenario.fraction", "0"], "the forget set is empty"),
        (["--scenario.name", "subclass"], "needs fine labels"),
        (["--scenario.name", "rows"], "scenario.file is empty"),
        (["--scenario.name", "rows", "--scenario.file", "small.toml"], "small.toml, line 2: no"),
        (["--scenario.name", "random", "--scenario.released-seed", "0"], "and none for digits"),
        (["--plot-format", "gif"], "invalid choice: 'gif' (choose from 'png', 'svg', 'pdf')"),
        (["--table", "t.xlsx"], "must end in .csv or .parquet"),
        (["--dataset.name", "image_folder"], "path"),
        (["--dataset.name", "npz"], "dataset.file is empty; npz needs a file of arrays"),
        (["--dataset.name", "csv", "--dataset.file", "none.csv"], "cannot read the table"),
        (["prepare", "mnits"], "unknown dataset 'mnits'; did you mean 'mnist'?"),
        (["--plto"], "unknown option '--plto'; did you mean '--plot'?"),
        (["--surrogate.name", "gauss_noise"], "did you mean 'gaussian_noise'?"),
        (["--surrogate.count", "9"], "did you mean '--surrogate.name'?"),
        (["lst"], "unknown command 'lst'; did you mean 'list'?"),
        (["--config", "grid.toml"], "main sweep --config grid.toml reads it"),
        (["statistics", "s.npz", "--config", "grid.toml"], "main sweep --config grid.toml reads"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(place, capsys, arguments, message):
    (place / "grid.toml").write_text(SMALL + "[sweep]\nseed = [0, 1]\n")
    run = arguments[0].startswith("--")
    file = [] if "--config" in arguments else ["--config", "small.toml"]
    own = [*file, "--workdir", "w"] if run else []
    status, _, err = call(capsys, *(arguments if not own else own + arguments))
    assert status == 2
    assert message in err
    assert err.startswith("junlearn: ") and err.count("\n") == 1


def test_a_dataset_that_is_not_prepared(place, capsys, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(place / "nothing"))
    status, _, err = call(capsys, *("--dataset.name", "mnist", "--model.name", "laf_cnn"))
    assert status == 2 and err.count("\n") == 1
    assert str(place / "nothing") in err
    assert f"python -m junlearn.main prepare mnist --data-dir {place / 'nothing'}" in err


def test_a_corrupt_and_a_foreign_checkpoint_are_refused(trained_place, capsys):
    place = trained_place
    run = ("--config", "small.toml", "--workdir", "w", "--methods", "finetune")
    call(capsys, *run)
    (place / "w" / "records.jsonl").unlink()
    (snapshot,) = (place / "w" / "checkpoints").glob("finetune-*/0*")
    victim = max((p for p in snapshot.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    status, _, err = call(capsys, *run)
    assert status == 2 and err.count("\n") == 1 and "is damaged" in err and str(snapshot) in err
    assert victim.read_bytes() == content[: len(content) // 2]
    victim.write_bytes(content)

    status, _, _ = call(capsys, *run, "--method.epochs", "2")
    assert status == 0
    first, second = sorted((place / "w" / "checkpoints").glob("finetune-*"), key=os.path.getmtime)
    shutil.rmtree(second)
    shutil.copytree(first, second)
    (place / "w" / "records.jsonl").unlink()
    status, _, err = call(capsys, *run, "--method.epochs", "2")
    assert status == 2 and err.count("\n") == 1 and "belongs to another configuration" in err
    assert {p.name for p in second.iterdir()} == {p.name for p in first.iterdir()}


def test_a_workdir_in_use(place, capsys):
    (place / "w").mkdir()
    with open(place / "w" / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        status, _, err = call(capsys, "--config", "small.toml", "--workdir", "w")
    assert status == 2 and err.count("\n") == 1
    assert "w is in use by another run (process 4711)" in err
    assert not (place / "w" / "records.jsonl").exists()


def test_a_workdir_that_cannot_be_made(place, capsys):
    (place / "file").write_text("")
    status, _, err = call(capsys, "--config", "small.toml", "--workdir", "file/w")
    assert status == 2 and err.count("\n") == 1 and "file" in err


def test_a_method_that_diverges_does_not_keep_the_others_from_running(trained_place, capsys):
    place = trained_place
    arguments = ("--workdir", "w", "--method.finetune.learning-rate", "1e35")
    status, out, err = call(capsys, "--config", "small.toml", *arguments)
    assert status == 1 and err.count("\n") == 1
    assert (
        err.startswith("junlearn: finetune: the run diverged: stage 'finetune'") and "step" in err
    )
    assert re.search(r"^ ssd +\d", out, re.MULTILINE)
    assert [r["method"] for r in records(place / "w")] == ["original", "retrain", "ssd"]


def test_an_original_that_diverges_ends_the_run(place, capsys):
    arguments = ("--config", "small.toml", "--workdir", "w", "--train.learning-rate", "1e35")
    status, _, err = call(capsys, *arguments)
    assert status == 1 and err.count("\n") == 1 and "the run diverged" in err
    assert not (place / "w" / "records.jsonl").exists()
