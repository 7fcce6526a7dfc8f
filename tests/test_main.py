"""The command line from the outside: what it prints, leaves on disk and exits with."""

import json
import re
import shutil

import numpy as np
import pytest

import junlearn
from junlearn import files
from junlearn.datasets import DATASETS
from junlearn.engine.checkpoint import Store
from junlearn.engine.predict import logits
from junlearn.experiment import provenance
from junlearn.models import MODELS
from tests.small_run import SMALL, call, records


def test_a_run_end_to_end_and_again(finished, place, capsys):
    directory, out = finished
    shutil.copytree(directory, place, dirs_exist_ok=True)
    run = ("--config", "small.toml", "--workdir", "w")
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
            *("matmul_precision", "request", "preprocessing", "intervals"),
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


def test_a_run_that_begins_like_another_goes_on_from_there(trained_place, capsys):
    place = trained_place
    text = SMALL.replace('["finetune", "ssd"]', '["laf", "laf_r"]').partition("[method")[0]
    (place / "repaired.toml").write_text(text + REPAIRED)
    run = ("--config", "repaired.toml", "--metrics", "accuracy", "--workdir", "w")
    run += ("--reference", "False")
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


def test_a_record_for_each_seed_and_metric_list(trained_place, capsys):
    place = trained_place
    run = ("--config", "small.toml", "--workdir", "w", "--methods", "ssd")
    assert call(capsys, *run)[0] == 0
    status, out, _ = call(capsys, *run, "--seed", "1", "--metrics", "accuracy", "asr")
    # Too few test images for the attack, which is said once for all networks.
    assert status == 0 and out.count("asr/laf is left out") == out.count("asr/camu is left") == 1
    found = records(place / "w")
    assert [r["seed"] for r in found] == [0, 0, 0, 1, 1, 1]
    assert set(found[-1]["metrics"]) == {n for n in found[0]["metrics"] if n.startswith("accuracy")}


def test_a_cut_off_record_is_written_again(trained_place, capsys, monkeypatch):
    """And what is taken for it and beside it, of another version of JAX, is said."""
    place = trained_place
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
