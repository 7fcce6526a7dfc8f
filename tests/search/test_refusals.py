"""What a search refuses, each in one line that says why, before anything is trained."""

import builtins
import json

import pytest

from junlearn.search.question import question_of
from tests.search.small_search import TABLE, table
from tests.small_run import call

RATE = "search.method.finetune.learning_rate"


def rate(axis):
    return {"method": {"finetune": {"learning_rate": axis}}}


MISTAKES = {
    "field": (
        {"method": {"finetune": {"learning_rte": [1]}}},
        "unknown field 'search.method.finetune.learning_rte'; did you mean 'search.method.finetune.learning_rate'?",
    ),
    "ends": (rate({"low": 2.0, "high": 1.0}), f"{RATE}: low 2.0 is above high 1.0"),
    "log": (
        rate({"low": 0, "high": 1.0, "log": True}),
        f"{RATE}: with log = true low has to be above 0, got 0",
    ),
    "log and step": (
        rate({"low": 0.1, "high": 1.0, "log": True, "step": 0.1}),
        f"{RATE}: a step and log = true exclude each other",
    ),
    "step": (rate({"low": 0.1, "high": 1.0, "step": 0}), f"{RATE}: step has to be above 0"),
    "key": (
        rate({"low": 0.1, "hihg": 1.0}),
        f"unknown configuration key '{RATE}.hihg'; did you mean '{RATE}.high'?",
    ),
    "no end": (rate({"low": 0.1}), "missing required field `high`"),
    "value": (rate([0.1, -1.0]), f"{RATE}: Expected `float` > 0.0"),
    "value of another type": (
        {"method": {"finetune": {"epochs": {"low": 1.0, "high": 2.0}}}},
        "search.method.finetune.epochs: Expected `int`, got `float`",
    ),
    "nothing": (rate([]), f"{RATE}: expected at least one value, got []"),
    "twice": (rate([0.1, 0.2, 0.1]), f"{RATE}: a value stands twice in [0.1, 0.2, 0.1]"),
    "direction of a name": (
        {"objective": "oracle:max"},
        "search.objective oracle:max: oracle has a direction of its own, the less the better",
    ),
    "number": (rate(0.1), f"{RATE}: expected a list of values, or a table such as"),
    "label": (
        {"method": {"ssd": {"alpha": [1.0]}}},
        "search.method.ssd is there but ssd is not in methods [finetune]",
    ),
    "no space": (
        {"method": {}},
        "finetune suggests no space to search in: give one as [search.method.finetune], or an empty table",
    ),
    "all kept": ({"method": {"finetune": {}}}, "there is nothing to search"),
    "objective": (
        {"objective": "validation_gpa"},
        "unknown objective 'validation_gpa'; did you mean 'validation_gap'?",
    ),
    "direction": (
        {"objective": "mia/entropy"},
        "search.objective mia/entropy: neither more nor less of it is better in itself",
    ),
    "validation": (
        {"objective": "accuracy/validation"},
        "search.objective accuracy/validation: nothing to choose by, it needs validation data",
    ),
    "trials": ({"trials": 0}, "search.trials: Expected `int` >= 1"),
    "seeds": ({"seeds": [1, 1]}, "search.seeds: expected different seeds, got [1, 1]"),
    "sampler": ({"sampler": "grid"}, "search.sampler: Invalid enum value 'grid'; known: 'tpe'"),
    "share": ({"held_out": 1.0}, "search.held_out: Expected `float` < 1.0"),
    "misspelt": ({"trails": 3}, "unknown configuration key 'search.trails'; did you mean"),
}


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))

    def run(content, *more):
        (tmp_path / "s.json").write_text(json.dumps(content))
        status, _, err = call(capsys, "search", "--config", "s.json", *more)
        assert not (tmp_path / "runs").exists()
        assert err.count("\n") == 1
        return status, err

    return run


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_section_is_one_line(name, search, monkeypatch):
    changed, message = MISTAKES[name]
    if name == "no space":
        monkeypatch.setattr("junlearn.plugins.registry.space_of", lambda method: {})
    status, err = search(table(**changed))
    assert status == 2 and message in err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": 0.2, "search": {"objective": "oracle"}}, "held_out leaves out"),
        ({"sweep": {"seed": [0, 1]}}, "it is a grid of experiments and not one to search in"),
        ({"loop": {"distributed": True, "devices": "all"}}, "start the same search on each host"),
        (
            {"scenario": {"name": "noisy_labels", "fraction": 0.5}},
            'search.objective "held_out" compares with unseen examples',
        ),
    ],
)
def test_what_does_not_go_together(changes, message, search):
    content = table(objective="held_out") | {k: v for k, v in changes.items() if k != "search"}
    content["search"] = content["search"] | changes.get("search", {})
    status, err = search(content)
    assert status == 2 and message in err


def test_mistakes_in_the_arguments(search, capsys):
    for words, message in (
        (["--trials", "0"], "argument --trials: invalid whole number of at least 1 value: '0'"),
        (["--trails", "3"], "did you mean '--trials'?"),
    ):
        status, err = search(TABLE, *words)
        assert status == 2 and message in err


def test_optuna_is_named_where_it_is_missing(search, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    status, err = search(TABLE)
    assert status == 2 and "python -m pip install 'junlearn[search]'" in err


@pytest.mark.parametrize(
    ("field", "low", "high", "whole"),
    [("learning_rate", 1, 2, False), ("weight_decay", 0, 1, False), ("epochs", 1, 2, True)],
)
def test_the_field_says_whether_whole_numbers_alone_are_tried(field, low, high, whole):
    content = table(method={"finetune": {field: {"low": low, "high": high}}})
    (axis,) = question_of(content).spaces["finetune"].values()
    assert axis.whole == whole
