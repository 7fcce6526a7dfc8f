"""Values that are a dict and print as a few lines."""

import json
import pickle

import jax

import junlearn
from junlearn import Evaluation
from tests.door import BOTH, KEY, MODEL, SPLIT, refused

VALUES = {"accuracy/test": 0.5, "accuracy/retain_train": 1.0, "mia/entropy": 2 / 3, "aus": 0.25}


def test_it_is_a_dict():
    found = Evaluation(VALUES, {"accuracy/test": (0.25, 0.75)})
    assert found == VALUES and isinstance(found, dict) and json.loads(json.dumps(found)) == VALUES
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again.intervals == {"accuracy/test": (0.25, 0.75)}
    doubled = jax.tree.map(lambda value: 2 * value, found)
    assert doubled == {name: 2 * value for name, value in VALUES.items()}


def test_it_prints_by_families():
    assert repr(Evaluation(VALUES, {"accuracy/test": (0.25, 0.75)})).splitlines() == [
        "Evaluation: 4 values",
        "  accuracy: test 0.5 [0.25, 0.75], retain_train 1",
        "  mia: entropy 0.6667",
        "  aus 0.25",
    ]
    layers = {f"distance/{role}/{i}": 0.1 for role in ("original", "retrain") for i in range(60)}
    text = repr(Evaluation({**layers, "distance/retrain/total": 3.0, "\x1b[31m/x": 1.0}))
    assert "retrain/total 3, 120 more in .table()" in text and len(text) < 150
    assert "\x1b" not in text and repr(Evaluation()) == "Evaluation: 0 values"


def test_its_table_has_a_row_a_value():
    found = Evaluation(VALUES, {"mia/entropy": (0.3, 0.9)})
    lines = found.table().splitlines()
    assert len(lines) == 6 and "95 % interval" in lines[0] and "[0.3, 0.9]" in lines[4]
    assert "interval" not in Evaluation(VALUES).table()
    html = Evaluation({"<script>/a": 1.0})._repr_html_()
    assert "&lt;script&gt;" in html and "<script>" not in html
    refused("did you mean 'html'", found.table, "htm")


def test_evaluate_returns_one():
    variables = MODEL.fresh(KEY, BOTH)
    found = junlearn.evaluate(MODEL, variables, BOTH, SPLIT)
    assert isinstance(found, Evaluation) and len(repr(found)) < 700
