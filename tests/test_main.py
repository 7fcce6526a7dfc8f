"""The command line from the outside: what it prints, leaves on disk and exits with."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import chex
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

import junlearn
from junlearn import cli, files
from junlearn.datasets import DATASETS
from junlearn.engine.checkpoint import Store
from junlearn.engine.predict import logits
from junlearn.experiment import provenance
from junlearn.main import main
from junlearn.methods import METHODS
from junlearn.models import MODELS
from junlearn.plugins.registry import PRESETS

SMALL = """
methods = ["finetune", "ssd"]
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "class"
classes = [3]
[train]
epochs = 3
batch_size = 128
[method.finetune]
epochs = 1
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a small configuration, a cache of its own, and nothing of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def call(capsys, *arguments):
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def records(workdir: Path):
    lines = (workdir / "records.jsonl").read_text().splitlines()
    return [files.unseal(line) for line in lines]


def test_a_run_end_to_end_and_again(place, capsys):
    run = ("--config", "small.toml", "--workdir", "w")
    status, out, err = call(capsys, *run)
    assert (status, err) == (0, "")
    for row in ("original", "retrain", "finetune", "ssd"):
        assert re.search(rf"^ {row} .*\d", out, re.MULTILINE)
    found = records(place / "w")
    assert [(r["role"], r["method"]) for r in found] == [
        ("original", "original"),
        ("retrain", "retrain"),
        ("unlearn", "finetune"),
        ("unlearn", "ssd"),
    ]
    for record in found:
        assert set(record) - {"effect"} == {
            *("dataset", "model", "scenario", "method", "role", "seed", "metrics", "seconds"),
            *("stages", "history", "config", "config_hash", "versions", "code", "device", "time"),
            *("matmul_precision", "request"),
        }
        assert set(record["seconds"]) == {"compile", "run", "evaluate", "total"}
        assert {"jax", "python", "junlearn"} <= set(record["versions"])
        assert set(record["request"]) == {"forget", "retain", "data", "rows", "ids"}
        accuracies = [v for n, v in record["metrics"].items() if n.startswith("accuracy/")]
        assert len(accuracies) == 5 and all(0 <= v <= 1 for v in accuracies)
    retrain = found[1]["metrics"]
    assert retrain["accuracy/forget_train"] == 0 and retrain["tow"] == 1
    assert retrain["js/forget_train"] == 0 and retrain["agreement/forget_train"] == 1
    assert json.loads((place / "w" / "config.json").read_text())["train"]["epochs"] == 3
    forgotten = (place / "w" / "forgotten.txt").read_text().splitlines()
    assert len(forgotten) == 2 + found[0]["request"]["forget"]

    # The same command again: the same table, no network trained, no record added.
    before = {p: p.stat().st_mtime_ns for p in place.rglob("0000*/*")}
    status, again, _ = call(capsys, *run)
    assert status == 0 and "in steps" not in again.split("\n\n")[0]
    assert again[again.index(" original") :] == out[out.index(" original  ") :]
    assert records(place / "w") == found
    assert {p: p.stat().st_mtime_ns for p in place.rglob("0000*/*")} == before

    # Another method in another workdir: original and retrained network come from the cache.
    status, out, _ = call(
        capsys,
        *("--config", "small.toml", "--workdir", "v", "--methods", "neggrad"),
        *("--table", "v/t.csv", "--table", "v/t.parquet"),
    )
    assert status == 0 and "table: v/t.csv" in out
    header, *lines = (place / "v" / "t.csv").read_text().splitlines()
    assert len(lines) == 3 and "accuracy/forget_test" in header.split(",")
    assert (place / "v" / "t.parquet").read_bytes().startswith(b"PAR1")
    other = records(place / "v")
    assert other[0]["metrics"] == found[0]["metrics"]
    assert other[1]["seconds"] == found[1]["seconds"]
    assert {p: p.stat().st_mtime_ns for p in (place / "cache").rglob("0000*/*")} == {
        p: t for p, t in before.items() if (place / "cache") in p.parents
    }

    # The weights of the first run, asked for when it is complete: its records stay, but for the path.
    more = (*run, "--loop.save-weights", "True")
    status, out, _ = call(capsys, *more)
    assert status == 0 and "ssd: weights in w/weights/ssd-" in out
    now = records(place / "w")
    assert now[:2] == found[:2] and not (place / "v" / "weights").exists()
    for old, new in zip(found[2:], now[2:], strict=True):
        assert new == {**old, "weights": new["weights"]}
    data = DATASETS["digits"].make(DATASETS["digits"].Config())
    model = MODELS["mlp"].make(MODELS["mlp"].Config(hidden=(16,)), 10, (8, 8, 1))
    weights = junlearn.load_variables(place / "w" / now[2]["weights"], model)
    test = data.sources["test"]
    answers = logits(model, weights, test, view=data.views["eval"]).argmax(-1)
    right = np.mean(answers == test.y)
    assert right == now[2]["metrics"]["accuracy/test"] != now[3]["metrics"]["accuracy/test"]
    files = {p: p.stat().st_mtime_ns for p in (place / "w" / "weights").rglob("*")}
    status, out, _ = call(capsys, *more)
    assert status == 0 and "weights in" not in out and records(place / "w") == now
    assert {p: p.stat().st_mtime_ns for p in files} == files


def test_initial_weights_and_another_model(place, capsys):
    """Where training moves nothing, the weights it began from are the original's; SISA is judged by its own model."""
    table = SMALL.replace('["finetune", "ssd"]', '["unrolling", "there", "sisa"]')
    table = (
        table[: table.index("[train]")]
        + """
[train]
optimizer = "sgd"
learning_rate = 1e-30
epochs = 1
[method.there]
name = "unrolling"
anchor = "original"
[method.sisa]
shards = 2
slices = 1
epochs = 3
batch_size = 16
learning_rate = 0.01
"""
    )
    (place / "still.toml").write_text(table)
    status, _, err = call(capsys, "--config", "still.toml", "--workdir", "u")
    assert (status, err) == (0, "")
    original, _, unrolling, there, sisa = records(place / "u")
    assert unrolling["metrics"] == there["metrics"] != original["metrics"]
    assert sisa["metrics"]["accuracy/retain_train"] > 0.5
    assert sisa["metrics"]["accuracy/forget_train"] == 0
    assert sisa["metrics"]["sisa/repeated"] == 1 and "sisa/repeated" not in there["metrics"]
    assert list(sisa["stages"]) == [f"{when} the request, slice 1" for when in ("before", "after")]
    assert sum(sisa["stages"].values()) == pytest.approx(sisa["seconds"]["run"])


REPAIRED = """
[method.laf]
vae_epochs = 1
epochs = 1
latent = 2
batch_size = 128
[method.laf_r]
name = "laf"
vae_epochs = 1
epochs = 1
latent = 2
batch_size = 128
repair_epochs = 1
repair_learning_rate = 0.01
"""


def test_a_run_that_begins_like_another_goes_on_from_there(place, capsys):
    text = SMALL.replace('["finetune", "ssd"]', '["laf", "laf_r"]').partition("[method")[0]
    (place / "repaired.toml").write_text(text + REPAIRED)
    run = ("--config", "repaired.toml", "--metrics", "accuracy", "--workdir", "w")
    run += ("--reference", "False", "--train.epochs", "1")
    assert call(capsys, *run)[0] == 0
    *_, laf, repaired = records(place / "w")
    # Not one step of LAF was done twice: the seconds are those that it took once.
    begun, seconds = repaired["history"][:-1], dict(repaired["stages"])
    assert (begun, repaired["history"][-1]["stage"]) == (laf["history"], "repair")
    assert seconds.pop("repair") > 0 and seconds == laf["stages"]

    # Of another version nothing is gone on from.
    (note,) = (place / "w").glob("checkpoints/laf-*/made.json")
    kept = Store(note.parent, note.parent.name.removeprefix("laf-"))
    made = files.unseal(note.read_text(), kept.owner)
    code = made["code"]
    assert provenance.current(kept, code)
    for other in ({"versions": made["versions"] | {"jax": "0.1"}}, {"code": {"network": "0"}}):
        note.write_text(files.seal(made | other, kept.owner))
        assert not provenance.current(kept, code)
    note.unlink()
    assert not provenance.current(kept, code)
    assert not provenance.current(Store(place / "nothing", None), code)


def test_a_record_for_each_seed_and_metric_list(place, capsys):
    run = ("--config", "small.toml", "--workdir", "w", "--methods", "ssd")
    assert call(capsys, *run)[0] == 0
    status, out, _ = call(capsys, *run, "--seed", "1", "--metrics", "accuracy", "asr")
    # Too few test images for the attack, which is said once for all networks.
    assert status == 0 and out.count("asr/laf is left out") == out.count("asr/camu is left") == 1
    found = records(place / "w")
    assert [r["seed"] for r in found] == [0, 0, 0, 1, 1, 1]
    assert set(found[-1]["metrics"]) == {n for n in found[0]["metrics"] if n.startswith("accuracy")}


def test_a_cut_off_record_is_written_again(place, capsys, monkeypatch):
    """And what is taken for it and beside it, of another version of JAX, is said."""
    versions = provenance.versions()
    run = ("--config", "small.toml", "--workdir", "w", "--methods", "ssd")
    assert "kept" not in call(capsys, *run)[1]
    path = place / "w" / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    monkeypatch.setattr(provenance, "versions", lambda: versions | {"jax": "9.9"})
    status, out, _ = call(capsys, *run)
    assert status == 0
    now = records(place / "w")
    assert len(now) == 3
    assert now[-1]["metrics"] == json.loads(whole.splitlines()[-1])["metrics"]
    other = f"of jax {versions['jax']} (now 9.9)"
    assert f"records kept, not made again: original, retrain, {other}; --fresh changed" in out
    for label in ("original", "retrain", "ssd"):
        assert out.count(f"{label}: network kept, not trained again, {other}\n") == 1


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
        (["--table", "t.xlsx"], "must end in .csv or .parquet"),
        (["--dataset.name", "image_folder"], "path"),
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


def test_a_corrupt_and_a_foreign_checkpoint_are_refused(place, capsys):
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


def test_a_method_that_diverges_does_not_keep_the_others_from_running(place, capsys):
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


def test_list(place, capsys):
    status, out, _ = call(capsys, "list", "--json")
    catalogue = json.loads(out)
    assert status == 0 and set(catalogue["methods"]) == {*METHODS, *PRESETS}
    assert set(catalogue) == {"methods", "models", "datasets", "scenarios", "metrics"}
    assert all(line for kind in catalogue.values() for line in kind.values())
    _, out, _ = call(capsys, "list")
    for kind, entries in catalogue.items():
        for name, summary in entries.items():
            assert re.search(rf"^ {{2,4}}{name} +{re.escape(summary)}$", out, re.MULTILINE), (
                kind,
                name,
            )


def test_help_names_the_options_of_this_configuration(place, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--config", "small.toml", "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert "--method.finetune.learning-rate" in out and "--scenario.classes" in out
    assert "--method.neggrad" not in out
    for name in ("--config", "--workdir", "--cache-dir", "--plot", "--table"):
        assert f"{name} " in out or f"[{name}]" in out
    for command in ("sweep", "compat", "statistics", "prepare", "list"):
        assert f"python -m junlearn.main {command} " in out


LONG = (
    *("--config", "small.toml", "--loop.save-seconds", "0", "--train.epochs", "4"),
    *("--method.finetune.epochs", "4"),
)


def start(place: Path, workdir: str, cache: str):
    return subprocess.Popen(
        [sys.executable, "-m", "junlearn.main", *LONG, "--workdir", workdir, "--cache-dir", cache],
        cwd=place,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finished(process) -> None:
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()


def snapshots(place: Path) -> set[str]:
    """Complete snapshots; `os.walk` takes it well that folders vanish meanwhile."""
    return {folder for folder, _, names in os.walk(place) if "junlearn.json" in names}


def newest(place: Path) -> list[Path]:
    return [sorted(d.glob("0*"))[-1] for d in sorted({p.parent for p in place.rglob("0000*")})]


def test_a_run_killed_again_and_again_ends_with_the_same_bits(place):
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 2:
        process = start(place, "killed", "cache_killed")
        known = snapshots(place)
        while process.poll() is None:
            if snapshots(place) - known:
                # Saves follow one another: this may hit a step, a save or the removal of a snapshot.
                time.sleep(rng.uniform(0, 0.4))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        process.communicate()
        if process.returncode == 0:
            break
        kills += 1
    assert kills == 2
    finished(start(place, "killed", "cache_killed"))
    finished(start(place, "whole", "cache_whole"))

    killed, whole = records(place / "killed"), records(place / "whole")
    assert [r["metrics"] for r in killed] == [r["metrics"] for r in whole]
    assert [r["history"] for r in killed] == [r["history"] for r in whole]
    for a, b in (("killed", "whole"), ("cache_killed", "cache_whole")):
        one, two = newest(place / a), newest(place / b)
        assert [p.parent.name for p in one] == [p.parent.name for p in two] and one
        for left, right in zip(one, two, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                chex.assert_trees_all_equal(ocp.load(left), ocp.load(right))
