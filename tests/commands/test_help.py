"""What a person asks the program about itself, and what it says to a name that does not exist."""

import io
import json
import os
import subprocess
import sys

import pytest

from junlearn.commands import catalogue, guide
from junlearn.commands.fieldtable import fields_of
from junlearn.datasets import DATASETS
from junlearn.errors import unknown
from junlearn.experiment.auditing import Auditing
from junlearn.main import main
from junlearn.methods import METHODS
from junlearn.metrics import METRICS
from junlearn.models import MODELS
from junlearn.scenarios import SCENARIOS
from tests.conftest import ROOT


def told(capsys, *arguments):
    try:
        status = main(list(arguments))
    except SystemExit as stop:
        status = stop.code or 0
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    return captured.out


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_the_first_page_is_short_and_has_examples(capsys):
    out = told(capsys, "--help")
    lines = out.splitlines()
    assert len(lines) <= 48 and max(map(len, lines)) <= 80
    assert lines[6].strip() == "python -m junlearn.main" and "list" in out
    assert "{small_cnn}" not in out and "--method.ssd.alpha" not in out
    assert told(capsys, "-h") == told(capsys, "help") == out


@pytest.mark.parametrize("topic", ["ssd", "laf", "mlp", "digits", "class", "aus"])
def test_help_on_a_thing_has_its_fields(topic, capsys):
    out = told(capsys, "--help", topic)
    assert told(capsys, f"--help={topic}") == told(capsys, "help", topic) == out
    config = catalogue.config_of(catalogue.kind_of(topic), topic)
    for field in [] if config is None else fields_of(config):
        assert f"  {field.name.replace('_', '-')} " in out and field.type.split()[0] in out


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("train", "epochs"),
        ("model", "here 16 32"),
        ("dataset", "crop-padding"),
        ("scenario", "classes"),
        ("method", "method.ssd: fields"),
        ("seeds", "initialisation"),
        ("loop", "save-seconds"),
    ],
)
def test_help_on_a_section_has_its_values(section, value, capsys):
    out = told(capsys, "--help", section)
    assert value in out and max(map(len, out.splitlines())) <= 80


def test_help_on_all_options_and_on_commands(capsys):
    assert "--train.weight-decay" in told(capsys, "--help", "all", "--methods", "ssd")
    for command in ("audit", "sweep", "list", "prepare", "statistics", "compat"):
        out = told(capsys, "help", command)
        assert out.startswith("usage:") and max(map(len, out.splitlines())) <= 80
        if command != "compat":
            assert told(capsys, command, "--help") == out
    assert told(capsys, "--version").startswith("junlearn 0.1.0 (jax ")


def test_help_on_audits_has_the_fields_of_their_section(capsys):
    out = told(capsys, "--help", "audit")
    assert told(capsys, "help", "audit") == out and "--plan" in out
    for field in fields_of(Auditing):
        assert f"\n  {field.name.replace('_', '-')} " in out
        assert field.doc and field.doc.split(maxsplit=1)[0] in out


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_lists_of_one_kind_and_pages_of_all_it_has(kind, capsys):
    singular = kind.removesuffix("s")
    out = told(capsys, "list", kind)
    assert told(capsys, "list", singular) == out and max(map(len, out.splitlines())) <= 80
    names = catalogue.names_of(kind)
    assert set(json.loads(told(capsys, "list", kind, "--json"))) == set(names)
    for name in names:
        page = catalogue.chosen(singular, name)
        assert max(map(len, page.text.splitlines())) <= 80
        assert page.text.startswith(f"{name}: ")
        json.dumps(page.data, allow_nan=False)


def test_the_page_of_a_method(capsys):
    page = json.loads(told(capsys, "list", "method", "ssd", "--json"))
    assert page["needs"] == sorted(METHODS["ssd"].NEEDS) and "2308.07707" in page["reference"]
    alpha = next(field for field in page["fields"] if field["name"] == "alpha")
    assert (alpha["type"], alpha["default"]) == ("float >= 0", 10.0) and alpha["doc"]
    assert all(ROOT.joinpath(path).is_file() for path in page["configs"])
    assert len(page["configs"]) > 5
    text = told(capsys, "list", "method", "ssd")
    assert "(2)  selected where  I_f > alpha I_D" in text and "configs/corrective/" in text


@pytest.mark.parametrize(
    ("kind", "word", "known", "meant"),
    [
        ("method", "badteacher", METHODS, "bad_teacher"),
        ("method", "gradient_ascent", METHODS, "neggrad"),
        ("method", "ga", METHODS, "neggrad"),
        ("method", "fine-tune", METHODS, "finetune"),
        ("method", "FT", METHODS, "finetune"),
        ("method", "rl", METHODS, "random_labels"),
        ("method", "selective_synaptic_dampening", METHODS, "ssd"),
        ("method", "sdd", METHODS, "ssd"),
        ("model", "resnet", MODELS, "resnet18"),
        ("model", "wrn", MODELS, "wide_resnet"),
        ("dataset", "fmnist", DATASETS, "fashion_mnist"),
        ("dataset", "pcam", DATASETS, "patch_camelyon"),
        ("scenario", "backdoor", SCENARIOS, "poisoning"),
        ("metric", "acc", METRICS, "accuracy"),
        ("metric", "jsd", METRICS, "divergence"),
        ("command", "download", ["list", "prepare", "sweep"], "prepare"),
        ("command", "version", ["list", "--version"], "--version"),
        ("command", "audits", ["list", "audit"], "audit"),
    ],
)
def test_other_words_for_a_name(kind, word, known, meant):
    assert str(unknown(kind, word, known)).endswith(f"did you mean {meant!r}?")


OPTIONS = [
    *("--config", "--workdir", "--cache-dir", "--seed", "--train.keep", "--train.learning-rate"),
    *("--train.weight-decay", "--train.batch-size", "--train.epochs", "--dataset.name"),
    *("--method.ssd.loss", "--method.ssd.alpha", "--model.name", "--loop.devices", "--metrics"),
]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--lr", "--train.learning-rate"),
        ("--train.lr", "--train.learning-rate"),
        ("--wd", "--train.weight-decay"),
        ("--bs", "--train.batch-size"),
        ("--n-epochs", "--train.epochs"),
        ("--net", "--model.name"),
        ("--arch", "--model.name"),
        ("--data", "--dataset.name"),
        ("--gpu", "--loop.devices"),
        ("--acc", "--metrics"),
        ("-o", "--workdir"),
        ("--output", "--workdir"),
        ("--sed", "--seed"),
        ("--method.ssd.alpa", "--method.ssd.alpha"),
    ],
)
def test_other_words_for_an_option(word, meant):
    assert str(unknown("option", word, OPTIONS)).endswith(f"did you mean {meant!r}?")


def test_what_is_far_from_all_is_not_guessed():
    """A synonym that this place does not have is none, and `lr` is not spelt like `keep`."""
    assert str(unknown("key", "ssd.lr", ["ssd.loss", "ssd.alpha"])).endswith("ssd.alpha, ssd.loss")
    assert "known: a, b" in str(unknown("method", "zzz", ["a", "b"]))
    assert "--help all" in str(unknown("option", "--zzz", [f"--x{n}" for n in range(50)]))
    assert "train.lr" not in str(unknown("key", "lr", ["keep"], ["train.learning_rate"]))
    assert "'train.learning_rate'" in str(unknown("key", "lr", ["keep"], ["train.learning_rate"]))


def test_topics():
    assert guide.topic(["--seed", "1"]) is None
    assert guide.topic(["--help"]) == ("", [])
    assert guide.topic(["--seed", "1", "-h", "ssd", "--plot"]) == ("ssd", ["--seed", "1", "--plot"])
    assert guide.topic(["--help", "--plot"]) == ("", ["--plot"])


def test_a_terminal_without_the_letters(monkeypatch):
    for encoding in ("ascii", "latin-1", "cp1252"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["list"]) == 0
        stream.flush()
        assert b"3" in stream.buffer.getvalue()


@pytest.mark.no_cover
def test_a_reader_that_leaves():
    command = f'"{sys.executable}" -u -m junlearn.main list | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout.strip(), done.stderr) == ("141", "")
