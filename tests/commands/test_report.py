"""`report`: one run end to end, and what it says where something is not there."""

import json
import shutil

import pytest

from junlearn.experiment import records, revisit
from junlearn.reports import run_page
from tests import tiny_run
from tests.reports.audit_rows import row
from tests.reports.parsed_page import check
from tests.reports.run_records import record
from tests.small_run import call


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the smallest experiment, with the weights of its method."""
    from junlearn.main import main

    where = tmp_path_factory.mktemp("report")
    loop = {"save_seconds": 0, "save_weights": True}
    assert main(tiny_run.arguments(where, loop=loop, reference=True)) == 0
    return where


def written(run, capsys, *options):
    """The page that the command writes, taken apart."""
    cache = ("--cache-dir", str(run / "cache"))
    status, out, err = call(capsys, "report", str(run / "run"), *cache, *options)
    assert (status, err) == (0, "") and "report.html" in out
    return check((run / "run" / "report.html").read_text(encoding="utf-8"), run_page.LIMIT)


def put(folder, found):
    """Write a record into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    records.append(folder / "records.jsonl", found)


def kept(run):
    """All files of a run and its cache but the report and what is compiled."""
    files = [p for place in ("run", "cache") for p in (run / place).rglob("*") if p.is_file()]
    return {p: p.stat().st_mtime_ns for p in files if p.suffix != ".html" and p.name != ".lock"}


def test_a_run_end_to_end(run, capsys):
    before = kept(run)
    found = written(run, capsys)
    assert {p: t for p, t in kept(run).items() if "compiled" not in p.parts} == {
        p: t for p, t in before.items() if "compiled" not in p.parts
    }
    log = {r["method"]: r for r in records.read(run / "run" / "records.jsonl")}
    assert list(log) == ["original", "retrain", "finetune"]
    for name in ("original", "retrain", "finetune"):
        own = 100 * log[name]["metrics"]["accuracy/forget_train"]
        assert f"{name} {own:.1f} " in found.text.partition("What the forgotten examples")[2]
    assert "Nothing is missing." in found.text and "the original network" in found.text
    assert "forgotten.txt beside the records (SHA-256" in found.text
    kinds = [attrs["src"].partition(";")[0] for attrs in found.all("img")]
    assert kinds.count("data:image/png") == revisit.PICTURED
    # Gaps, trade-off and time; of each network confusion, confidence, embedding, losses and accuracies.
    assert kinds.count("data:image/svg+xml") == 3 + 3 * 5


def test_weights_serve_where_checkpoints_are_gone_and_what_is_gone_is_named(run, capsys, tmp_path):
    away = tmp_path / "away"
    shutil.copytree(run, away)
    shutil.rmtree(away / "cache" / "models")
    shutil.rmtree(away / "run" / "checkpoints")
    found = written(away, capsys, "--no-images")
    assert "original: its network is not kept, there is nothing in" in found.text
    assert "finetune" in found.text.partition("What the forgotten examples")[2]
    assert not (away / "cache" / "models").exists()
    shutil.rmtree(away / "run" / "weights")
    found = written(away, capsys)
    assert "finetune: there are no weights in" in found.text
    assert "Nothing can be shown here" in found.text


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({}, {"data": "another"}, "is not found again: fingerprint of the data"),
        ({}, {"rows": "another"}, "is not found again: hash of the rows"),
        ({"config_hash": "another"}, {}, "finetune: what this configuration names now is another"),
    ],
)
def test_other_examples_or_networks_are_not_shown(run, capsys, tmp_path, changes, asked, said):
    log = tmp_path / "run" / "records.jsonl"
    for found in records.read(run / "run" / "records.jsonl"):
        put(log.parent, found | changes | {"request": found["request"] | asked})
    shutil.copytree(run / "cache" / "models", tmp_path / "cache" / "models")
    found = written(tmp_path, capsys)
    assert said in found.text and "Nothing can be shown here" in found.text
    assert not [attrs for attrs in found.all("img") if "png" in attrs["src"]]


def test_data_that_cannot_be_read_leave_a_page(tmp_path, capsys):
    put(tmp_path / "run", record())
    found = written(tmp_path, capsys)
    assert "embeddings and images: unknown dataset 'pets'" in found.text


def test_an_audit_beside_it_and_points_of_a_sweep(tmp_path, capsys):
    from junlearn.audit import audit_log

    for seed in (0, 1):
        config = record()["config"] | {"seed": seed}
        put(tmp_path / "run" / "points" / f"seed-{seed}", record(seed=seed, config=config))
    audit_log.append(tmp_path / "run" / "audit.jsonl", row("finetune"))
    found = written(tmp_path, capsys)
    heads = ("Verdict of the audit", "distinguishable (p", "Request")
    places = [found.text.index(said) for said in heads]
    assert places == sorted(places)
    assert "2 experiments: seed-0: pets" in found.text and "Means over seeds" in found.text


def test_a_model_card_and_its_signature(tmp_path, capsys):
    pytest.importorskip("cryptography", reason="the extra sign has it")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    put(tmp_path / "run", record())
    key = Ed25519PrivateKey.generate()
    pem = form.PrivateFormat.PKCS8
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(form.Encoding.PEM, pem, form.NoEncryption()))
    spki = form.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(form.Encoding.PEM, spki))
    card = tmp_path / "CARD.md"
    options = ("--format", "markdown", "--output", str(card), "--sign", str(private))
    status, out, _ = call(capsys, "report", str(tmp_path / "run"), *options)
    assert status == 0 and "CARD.md.sig" in out
    verify = ("report", "verify", str(card), "--key", str(public))
    status, out, _ = call(capsys, *verify)
    mark = out.split()[-1]
    assert status == 0 and "is as it was signed" in out and mark in card.read_text()
    card.write_text(card.read_text().replace("40", "39"))
    status, out, err = call(capsys, *verify)
    assert (status, out) == (2, "") and err.count("\n") == 1 and "not what was signed" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["none"], "report none: there is no such directory"),
        (["empty"], "report empty: there are no records in it; give the --workdir"),
        (["run", "--output", "no/where.html"], "the folder no does not exist; make it first"),
        (["run", "--output", "empty"], "is a folder, and the name of a file is needed"),
        (["run", "--format", "pdf"], "argument --format: invalid choice"),
        (["run", "--tnse"], "did you mean '--tsne'?"),
        ([], "the following arguments are required: DIR"),
        (["verify", "run/records.jsonl"], "the following arguments are required: --key"),
    ],
)
def test_mistakes(options, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    put(tmp_path / "run", record())
    before = sorted(tmp_path.rglob("*"))
    status, out, err = call(capsys, "report", *options)
    assert (status, out) == (2, "") and err.count("\n") == 1 and said in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_record_is_left_out_and_said(tmp_path, capsys):
    put(tmp_path / "run", record())
    with (tmp_path / "run" / "records.jsonl").open("a") as file:
        file.write(json.dumps({"method": "cut"}) + "\n")
    found = written(tmp_path, capsys)
    assert "records.jsonl: 1 line is left out" in found.text.rpartition("Not shown ")[2]
    (tmp_path / "run" / "records.jsonl").write_text("cut off")
    status, _, err = call(capsys, "report", str(tmp_path / "run"))
    assert status == 2 and "no records in it" in err and "1 line is left out" in err


def test_a_private_request_shows_nothing_of_an_example(tmp_path, capsys):
    from junlearn.main import main

    asked = tmp_path / "request.txt"
    asked.write_text("17\n421\n")
    scenario = {"name": "rows", "by": "row", "file": str(asked), "private": True}
    assert main(tiny_run.arguments(tmp_path, scenario=scenario)) == 0
    capsys.readouterr()
    found = written(tmp_path, capsys)
    assert "left out, since the request is private" in found.text
    assert "Hash of the list" in found.text and "Hash of the rows" not in found.text
    assert not [attrs for attrs in found.all("img") if "png" in attrs["src"]]
    assert "and the probability that it gives" not in found.text
    assert "What the forgotten examples are taken for" in found.text
