"""The audit that a newcomer runs, with fewer networks: what it says, and what it leaves."""

import json

import numpy as np
import pytest

from junlearn.main import main

pytestmark = pytest.mark.xdist_group("quick_audit")

FEWER = (
    *("--audit.models", "16", "--audit.permutations", "119", "--audit.splits", "20"),
    *("--audit.retain-rows", "200"),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    place = tmp_path_factory.mktemp("quick")
    arguments = ["audit", "--workdir", str(place / "w"), "--cache-dir", str(place / "c"), *FEWER]
    assert main(arguments) == 0
    return place, arguments


def rows(place):
    return [json.loads(line) for line in (place / "w" / "audit.jsonl").read_text().splitlines()]


def test_what_it_says(done):
    found = {row["method"]: row for row in rows(done[0])}
    assert list(found) == ["original", "twin", "finetune", "neggrad_plus"]
    # A perfect unlearner is taken for another one in 5 of 100 audits, and the bits of networks depend on the machine.
    shifts = {name: abs(row["values"]["forget/mean_shift"]) for name, row in found.items()}
    for name in ("original", "finetune"):
        assert found[name]["verdict"]["forget"].startswith("distinguishable")
        assert found[name]["p"]["forget/energy"] == 1 / 120 and shifts[name] > shifts["twin"]
    assert found["original"]["values"]["forget/mean_shift"] > 0.1
    for row in found.values():
        assert row["models"]["compared"] == 16 and "forget/klom_mean" in row["values"]
        assert row["p"].keys() <= row["null"].keys() and row["seconds_each"] > 0


def test_what_it_leaves(done):
    place = done[0]
    for row in rows(place):
        with np.load(place / "w" / row["examples_file"]) as arrays:
            assert len(arrays["id"]) == 100 and arrays["images"].shape == (6, 8, 8, 1)
    page = (place / "w" / "audit.html").read_text()
    assert "finetune" in page and len(page) < 5_000_000
    (bank,) = (p for p in (place / "c" / "banks").iterdir() if list(p.glob("twin-*")))
    assert len(list(bank.glob("retrain-*.npz"))) == len(list(bank.glob("twin-*.npz"))) == 16


def test_the_same_again_computes_nothing(done, monkeypatch, capsys):
    place, arguments = done
    before = (place / "w" / "audit.jsonl").read_bytes()
    for name in ("judge", "train_missing"):
        monkeypatch.setattr(f"junlearn.audit.request_design.{name}", None)
    monkeypatch.setattr(
        "junlearn.audit.request_design.train_missing", lambda *args, **options: None
    )
    monkeypatch.setattr("junlearn.reports.audit_page.write_page", None)
    assert main(arguments) == 0
    assert (place / "w" / "audit.jsonl").read_bytes() == before
    assert "finetune: distinguishable" in " ".join(capsys.readouterr().out.split())
