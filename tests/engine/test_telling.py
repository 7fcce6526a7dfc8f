"""Results print as a line, and have tables."""

import pickle

import numpy as np
import pytest

import junlearn
from tests.door import BOTH, DATA, MODEL, SPLIT, refused

RECIPE = {"epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def trained():
    return junlearn.train(MODEL, BOTH, key=0, **RECIPE)


def test_a_result_is_a_line(trained):
    text = repr(trained)
    assert text.startswith("Result: 163 weights; train (2 epochs, loss ") and "\n" not in text
    assert len(text) < 150 and "0x" not in text and text == str(trained)
    done = junlearn.unlearn(MODEL, trained.variables, BOTH, SPLIT, "scrub", key=0, batch_size=8)
    assert len(repr(done)) < 250 and "more stages" in repr(done)


def test_its_table_has_a_row_a_stage_and_metric(trained):
    lines = trained.table().splitlines()
    assert lines[0].split() == ["stage", "epochs", "steps", "seconds", "metric", "first", "last"]
    assert lines[2].split()[:3] == ["train", "2", "6"] and len(lines) == 6
    assert f"{trained.history[-1]['loss']:.4g}" in lines[3]
    assert "<table" in trained._repr_html_() and r"\toprule" in trained.table("latex")
    refused("did you mean 'markdown'", trained.table, "markdwn")


def test_it_is_the_tuple_that_it_was(trained):
    other = trained._replace(history=[], reported={"a\x1b[31m": 0.5}, certificate={"epsilon": 1})
    assert isinstance(other, tuple) and other.seconds is trained.seconds
    assert "no step" in repr(other) and "\x1b" not in repr(other) + other._repr_html_()
    assert "\x1b" not in other.table() and "with a certificate" in repr(other)
    again = pickle.loads(pickle.dumps(trained._replace(model=None)))
    assert again.history == trained.history
    assert "0 weights" in repr(junlearn.Result(None, None, [], {}, {}, {}))


def test_many_networks_are_a_line_and_a_row_each():
    rows = [np.arange(16), np.arange(8, 24)]
    found = junlearn.train_many(MODEL, DATA, rows, how="loop", **RECIPE)
    assert repr(found).startswith("Many: 2 networks of 163 weights; loop, ")
    assert len(repr(found)) < 200 and len(found.table().splitlines()) == 4
    loss = found.history[1][-1]["loss"]
    assert f"{loss:.4g}" in found.table() and f"{loss:.4g}" in found._repr_html_()
