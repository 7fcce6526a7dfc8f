"""`list`, and the options that `--help` names."""

import json
import re

import pytest

from junlearn.main import main
from junlearn.methods import METHODS
from junlearn.plugins.registry import PRESETS
from tests.small_run import call


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


def test_list_says_what_a_search_tries(place, capsys):
    _, out, _ = call(capsys, "list", "method", "amun")
    for line in ("1e-05 to 0.1, log", "1 | 5 | 10", "whole numbers from 1 to 20"):
        assert f"\n      search: {line}\n" in out
    page = json.loads(call(capsys, "list", "method", "potion", "--json")[1])
    found = {field["name"]: field["search"] for field in page["fields"]}
    assert found["forget_accuracy"] == {"low": 0.0, "high": 0.75, "log": False, "step": None}
    assert found["alpha"] is None
    assert "search:" not in call(capsys, "list", "method", "retrain")[1]


def test_help_names_the_options_of_this_configuration(place, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--config", "small.toml", "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert "--method.finetune.learning-rate" in out and "--scenario.classes" in out
    assert "--method.neggrad" not in out
    for name in ("--config", "--workdir", "--cache-dir", "--plot", "--table"):
        assert f"{name} " in out or f"[{name}]" in out
    for command in ("audit", "ledger", "sweep", "compat", "statistics", "prepare", "list"):
        assert f"python -m junlearn.main {command} " in out
