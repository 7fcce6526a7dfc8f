"""What is kept knows the code, the versions and the device that made it, and is made anew where that is asked."""

import ast
import json
from functools import partial
from pathlib import Path

import pytest

from junlearn import cli, files
from junlearn.engine import code_digest
from junlearn.experiment import provenance
from junlearn.experiment.provenance import Renewal
from junlearn.main import main
from junlearn.methods import METHODS
from junlearn.models import MODELS
from junlearn.plugins.source import module_name

CONFIG = """
methods = ["finetune", "ssd"]
metrics = ["accuracy"]
reference = false

[dataset]
name = "digits"

[model]
name = "mlp"

[scenario]
name = "class"
classes = [0]

[train]
epochs = 1
batch_size = 256
"""


@pytest.fixture
def edited(monkeypatch):
    """Pretend that the source of a module was changed."""
    real = code_digest._source

    def edit(module: str) -> None:
        monkeypatch.setattr(
            code_digest, "_source", lambda name: real(name) + b"#" * (name == module)
        )

    return edit


def test_the_digest_follows_what_is_imported(edited):
    methods = ("neggrad", "ssd", "neggrad_plus")
    before = {name: code_digest.code_digest([METHODS[name].__name__]) for name in methods}
    assert len(set(before.values())) == len(before)
    for module, changed in [
        ("junlearn.methods.neggrad", {"neggrad"}),
        ("junlearn.parts.importance", {"ssd"}),
        ("junlearn.parts.losses", set(methods)),
        ("junlearn.types", set(methods)),
        ("junlearn.methods.laf", set()),
        ("junlearn.experiment.records", set()),
    ]:
        edited(module)
        now = {name: code_digest.code_digest([METHODS[name].__name__]) for name in methods}
        assert {name for name in before if now[name] != before[name]} == changed, module


def test_every_import_of_the_package_is_seen():
    """Read from lines, as `ast` reads them from the syntax."""
    root = Path(code_digest.__file__).parents[1]
    imports = 0
    for file in root.rglob("*.py"):
        parts = file.relative_to(root.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        expected = set()
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                expected |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                expected |= {n if code_digest._file(n) else node.module for n in inner}
        expected = {name for name in expected if name.partition(".")[0] == "junlearn"}
        assert code_digest._imported(name) == expected, name
        imports += len(expected)
    assert imports > 1000


def test_the_digest_of_modules_without_source_is_their_name():
    digests = {code_digest.code_digest([name]) for name in ("nowhere", "no.where", "math", "")}
    assert len(digests) == 4


def test_the_module_behind_a_partial():
    assert module_name(MODELS["resnet18"]) == "junlearn.models.resnet"
    assert module_name(partial(partial(json.dumps))) == "json"


@pytest.mark.parametrize(
    ("fresh", "current", "due"),
    [
        ("nothing", True, False),
        ("nothing", False, False),
        ("changed", True, False),
        ("changed", False, True),
        ("all", True, True),
        ("all", False, True),
    ],
)
def test_what_is_made_anew_is_made_anew_once(fresh, current, due):
    renewal = Renewal(fresh)
    assert renewal.due("a", current) is due
    assert renewal.due("a", current) is False
    assert renewal.due("b", current) is due


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"code": {"network": "0"}}, "code of the network 0 (now 1)"),
        ({"code": {}}, "code of the network unknown (now 1)"),
        ({"device": "TPU v9 x8"}, "device TPU v9 (now cpu)"),
        ({"versions": {}}, "optax unknown"),
    ],
)
def test_differences_are_named(change, said):
    made = provenance.now({"network": "1"}) | change
    found = provenance.differences(made, {"network": "1"})
    assert said in found and bool(said) == bool(found)


def test_another_xgboost_concerns_its_own_metric_alone(monkeypatch):
    made = provenance.now({})
    monkeypatch.setattr(provenance, "versions", lambda: made["versions"] | {"xgboost": "9"})
    for name, said in [("asr", False), ("asr_xgboost", True)]:
        found = provenance.differences(made, {}, provenance.decisive(["accuracy", name]))
        assert ("xgboost" in found) == said == bool(found)


def run(capsys, *arguments):
    capsys.readouterr()
    assert main(["--config", "c.toml", "--workdir", "w", "--cache-dir", "cache", *arguments]) == 0
    said = " ".join(capsys.readouterr().out.split())
    lines = [json.loads(line) for line in Path("w", "records.jsonl").read_text().splitlines()]
    return said, {record["method"]: record for record in lines}, len(lines)


def test_other_code_is_said_and_made_anew_on_request(tmp_path, monkeypatch, capsys, edited):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    (tmp_path / "c.toml").write_text(CONFIG)
    said, first, _ = run(capsys)
    assert "kept" not in said
    assert "kept" not in run(capsys)[0]

    edited("junlearn.methods.ssd")
    said, again, _ = run(capsys)
    before, now = (first["ssd"]["code"]["network"], code_digest_of("ssd"))
    assert f"kept, not made again: ssd, of code of the network {before} (now {now})" in said
    assert again == first

    said, anew, count = run(capsys, "--fresh", "changed")
    assert "kept" not in said and "ssd: 0." in said
    assert count == 3 and anew["ssd"]["code"]["network"] == now
    assert [name for name in first if anew[name] != first[name]] == ["ssd"]
    assert anew["ssd"]["metrics"] == first["ssd"]["metrics"]

    # Other metrics alone: the networks are as they were.
    edited("junlearn.metrics.accuracy")
    said, _, _ = run(capsys)
    assert "original, finetune, of code of the metrics" in said and "network kept" not in said

    said, _, count = run(capsys, "--fresh")
    assert count == 3
    assert all(f"{label}: " in said for label in ("original", "finetune", "ssd"))
    assert "kept" not in said and "kept" not in run(capsys)[0]

    # What made the snapshots is not believed when it was edited.
    (note,) = (tmp_path / "w").glob("checkpoints/ssd-*/made.json")
    made = json.loads(note.read_text())
    note.write_text(json.dumps(made | {"device": "TPU v9 x8"}))
    (tmp_path / "w" / "records.jsonl").unlink()
    said, _, _ = run(capsys)
    assert "ssd: network kept, not trained again; what made it is not known" in said
    assert "its checksum does not fit" in said
    note.write_text(files.seal({}, "another network"))
    (tmp_path / "w" / "records.jsonl").unlink()
    assert "what made it is not known" in run(capsys)[0]


def code_digest_of(method: str) -> str:
    parts = ("methods." + method, "methods.retrain", "engine.run", "models.mlp")
    return code_digest.code_digest([f"junlearn.{part}" for part in parts])
