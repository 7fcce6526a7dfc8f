"""A comparison in one call gives the numbers of separate calls, and the command line's table."""

import json
import warnings

import chex
import numpy as np
import pytest

import junlearn
from junlearn.experiment import records
from junlearn.methods import finetune
from tests.door import BOTH, MODEL, SPLIT, refused
from tests.recorded import printed

RECIPE = {"epochs": 2, "batch_size": 8}
TUNE = finetune.Config(epochs=1, batch_size=8)
METRICS = ["accuracy", "aus", "tow"]
HOW = {"metrics": METRICS, "progress": None}


@pytest.fixture(scope="module")
def trained():
    return junlearn.train(MODEL, BOTH, key=0, progress=None, **RECIPE).variables


@pytest.fixture(scope="module")
def found(trained):
    methods = ["naive", TUNE, ("wild \x1b[31m", finetune.Config(learning_rate=1e38, batch_size=8))]
    return junlearn.compare_methods(MODEL, trained, BOTH, SPLIT, methods, key=3, **HOW, **RECIPE)


def test_numbers_are_those_of_separate_calls(found, trained):
    def left(method, **options):
        given = (MODEL, trained, BOTH, SPLIT, method)
        return junlearn.unlearn(*given, key=3, progress=None, **options)

    def judged(variables):
        references = {"original": trained, "retrain": retrain.variables}
        return junlearn.evaluate(MODEL, variables, BOTH, SPLIT, **references, **HOW)

    retrain, tuned = left("retrain", **RECIPE), left("finetune", epochs=1, batch_size=8)
    chex.assert_trees_all_equal(found.results["retrain"].variables, retrain.variables)
    chex.assert_trees_all_equal(found.results["finetune"].variables, tuned.variables)
    assert found.evaluations["finetune"] == judged(tuned.variables)
    assert found.evaluations["retrain"] == judged(retrain.variables)
    assert found.evaluations["original"] == judged(trained)
    assert "tow" in found.evaluations["finetune"].intervals
    # It differs from itself by nothing, on whatever examples.
    assert found.evaluations["retrain"].intervals.keys() >= {"aus"}
    assert "tow" not in found.evaluations["retrain"].intervals


def test_what_fails_is_named_and_stops_nothing(found):
    assert [*found.failures] == ["wild \x1b[31m"]
    assert [*found.evaluations] == ["original", "retrain", "naive", "finetune"]
    text = repr(found)
    assert "\n" not in text and len(text) < 250 and "\x1b" not in text
    assert "failed: stage 'finetune'" in text and "finetune, " not in text.split(";")[1]


def test_the_table_is_the_command_lines(found, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown = found.table()
    lines = [line.rstrip() for line in printed(120, *found.records).strip("\n").splitlines()]
    # How the spread between networks is seen differs: the command line has an option for it.
    asked = "seeds=(0, 1, 2)"
    expected = " ".join(lines).replace("--references 5", asked).split()
    assert shown.split()[: len(expected)] == expected and asked in shown
    assert repr(shown) == str(shown) and "wild \\x1b[31m failed" in shown
    assert found.table("markdown").startswith("| method |")
    page = found._repr_html_()
    assert "<table" in page and "\x1b" not in page
    refused("did you mean 'latex'", found.table, "latx")


def test_records_are_those_of_write_record(found, trained, tmp_path):
    path = found.write(tmp_path / "new" / "records.jsonl")
    kept = records.read(path)
    assert [r["method"] for r in kept] == ["original", "retrain", "naive", "finetune"]
    assert [r["role"] for r in kept] == ["original", "retrain", "unlearn", "unlearn"]
    done = found.results["finetune"]
    own = junlearn.write_record(
        *(tmp_path / "own.jsonl", found.evaluations["finetune"], BOTH, SPLIT, TUNE, done),
        dataset="arrays",
        model="model",
        key=3,
    )
    same = {**own, "time": kept[-1]["time"]}
    assert kept[-1] == json.loads(json.dumps(same))
    assert kept[-1]["config"]["method"]["finetune"]["epochs"] == 1


def test_several_seeds_have_means_and_deviations(trained):
    settings = {"one": TUNE, "two": finetune.Config(epochs=2, batch_size=8)}
    given = (MODEL, trained, BOTH, SPLIT, settings)
    found = junlearn.compare_methods(*given, seeds=(1, 4), retrain=None, **HOW)
    assert [*found.results] == [("one", 1), ("two", 1), ("one", 4), ("two", 4)]
    single = junlearn.unlearn(MODEL, trained, BOTH, SPLIT, TUNE, key=4, seed=4, progress=None)
    chex.assert_trees_all_equal(found.results["one", 4].variables, single.variables)
    values = [100 * found.evaluations["one", s]["accuracy/retain_train"] for s in (1, 4)]
    cell = f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    row = next(line for line in found.table().splitlines() if line.startswith("one"))
    assert cell in row and row.endswith(" 2")
    assert "2 seeds" in repr(found) and "retrain" not in repr(found)


@pytest.mark.parametrize(
    ("methods", "options", "message"),
    [
        ([], {"key": 0}, "no method to compare"),
        (["naive", "naive"], {"key": 0}, "two methods are called 'naive': give pairs"),
        (["retrain"], {"key": 0}, "retrain is no method here"),
        (["scrab"], {"key": 0}, "did you mean 'scrub'"),
        ([(3, "naive")], {"key": 0}, "3 is no label"),
        (["naive"], {}, "give a key, or seeds"),
        (["naive"], {"key": 0, "seeds": [0]}, "give a key, or seeds"),
        (["naive"], {"seeds": [1, 1]}, "seeds are different numbers"),
        (["naive"], {"seeds": 3}, "seeds is 3: several"),
        (["naive"], {"key": 0, "epoch": 3}, "did you mean 'compare_methods.epochs'"),
        (["naive"], {"key": 0, "retrain": None, "epochs": 3}, "epochs would be for the training"),
        (["naive"], {"key": 0, "metrics": ["accurcy"]}, "did you mean 'accuracy'"),
        (["naive"], {"key": 0, "retrain": {"params": 1}}, "retrain"),
        (["naive", "unrolling"], {"key": 0}, "unrolling: this method needs the weights"),
        (["naive", finetune.Config(epochs=-1)], {"key": 0}, "finetune.*epochs"),
    ],
)
def test_mistakes_come_before_anything_is_trained(methods, options, message, trained, monkeypatch):
    monkeypatch.setattr("junlearn.api.run", lambda *_, **__: pytest.fail("it ran"))
    given = (MODEL, trained, BOTH, SPLIT, methods)
    refused(message, junlearn.compare_methods, *given, progress=None, **options)


def test_no_warning_is_new(found):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found.table("csv").count("\n") == 4


def test_a_few_forgotten_examples_are_warned_of_once_where_the_call_is(trained):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        junlearn.compare_methods(
            MODEL, trained, BOTH, SPLIT, ["naive"], seeds=[0, 1], **HOW, **RECIPE
        )
    (only,) = told
    assert str(only.message).startswith("compare_methods: the forget set has ")
    assert only.filename == __file__


def test_a_comparison_of_methods_can_be_compared(found):
    both = [junlearn.compare(given, kind="comparison").table() for given in (found, found.records)]
    assert both[0] == both[1] and "naive" in both[0]
