"""What can be set of a method, as a table and as a mapping; and what an editor completes."""

import types
from typing import get_args

import pytest

import junlearn
from junlearn.methods import METHODS, finetune, scrub, ssd
from junlearn.plugins.method_names import MethodName
from junlearn.plugins.registry import PRESETS
from junlearn.types import Choice, Range
from tests.door import refused


def test_fields_are_there_for_programs():
    found = junlearn.options("scrub")
    assert found["alpha"].default == scrub.Config().alpha and found["alpha"].type == "float >= 0"
    assert set(found) == set(scrub.Config.__dataclass_fields__) and len(found) == len([*found])
    assert junlearn.options("potion")["forget_accuracy"].default == 0.25
    assert junlearn.options(finetune)["epochs"].default == finetune.Config().epochs
    assert junlearn.options(scrub.Config(alpha=2.0))["alpha"].default == 2.0


def test_it_prints_as_a_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    found = junlearn.options("ssd")
    text = repr(found)
    assert max(map(len, text.splitlines())) <= 120
    assert "field" in text.splitlines()[0] and "Selection threshold" in text
    assert "<td" in found._repr_html_() and "| alpha |" in found.table("markdown")
    refused("unknown format", found.table, "pdf")


def test_what_a_search_tries_stands_beside():
    space = {"alpha": Range(0.1, 100, log=True), "power": Choice((1, 2))}
    method = types.SimpleNamespace(
        Config=ssd.Config, make=ssd.make, NEEDS=ssd.NEEDS, SPACE=space, __name__="mine"
    )
    found = junlearn.options(method)
    assert found["alpha"].space == space["alpha"] and found["percentile"].space is None
    assert "0.1 to 100, log" in repr(found) and "1 | 2" in repr(found).split("power")[1]


@pytest.mark.parametrize("method", ["scrab", 3, None])
def test_what_is_no_method_is_refused(method):
    refused("unknown method", junlearn.options, method)


def test_editors_know_all_names():
    assert list(get_args(MethodName)) == sorted([*METHODS, *PRESETS])
