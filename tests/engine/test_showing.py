"""Where progress is shown, and what a function of one's own is told."""

import io
import sys
import types

import jax
import pytest

import junlearn
from junlearn.engine import showing
from junlearn.text import bars
from junlearn.text.bars import Board, duration
from junlearn.text.terminal import Terminal
from tests.door import BOTH, DATA, MODEL, SPLIT

RECIPE = {"epochs": 2, "batch_size": 8}


class Screen(io.StringIO):
    def isatty(self):
        return True


def outside(monkeypatch):
    """As where no tests run; pytest says anew that they do before it calls one."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Screen())


def test_a_terminal_has_bars_and_a_log_has_none(monkeypatch):
    outside(monkeypatch)
    board = showing.board()
    assert board is not None and not board.notebook and board.console.file is sys.stderr
    monkeypatch.setenv("TERM", "dumb")
    assert showing.board() is None
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert showing.board() is None


def test_tests_and_other_processes_have_none(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Screen())
    assert showing.board() is None
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr("junlearn.engine.processes.is_first", lambda: False)
    assert showing.board() is None


def test_training_on_a_terminal(monkeypatch):
    outside(monkeypatch)
    monkeypatch.setattr(showing, "LONG", 0.0)
    done = junlearn.train(MODEL, BOTH, key=0, **RECIPE)
    text = sys.stderr.getvalue()
    assert "compiling" in text and text.splitlines()[-1].startswith("train: ")
    before = len(text)
    junlearn.evaluate(MODEL, done.variables, BOTH, SPLIT, metrics=["accuracy"], progress=None)
    assert len(sys.stderr.getvalue()) == before
    junlearn.evaluate(MODEL, done.variables, BOTH, SPLIT, metrics=["accuracy"])
    assert "evaluate: " in sys.stderr.getvalue()[before:]


def test_a_function_is_told_as_ever():
    told, counted = [], []
    done = junlearn.train(MODEL, BOTH, key=0, progress=lambda *a: told.append(a), **RECIPE)
    stage, steps, total, metrics = told[-1]
    assert (stage, steps, total) == ("train", 6, 6) and set(metrics) == {"accuracy", "loss"}
    told.clear()
    given = (MODEL, done.variables, BOTH, SPLIT)
    junlearn.unlearn(*given, "finetune", key=0, progress=lambda *a: told.append(a), **RECIPE)
    assert told[-1][:3] == ("finetune", 6, 6)
    told.clear()
    junlearn.evaluate(*given, metrics=["accuracy"], progress=lambda *a: told.append(a))
    assert told[-1] == ("model evaluating", 24, 24, {})
    options = {"how": "loop", "progress": lambda *a: counted.append(a)}
    junlearn.train_many(
        MODEL, DATA, keys=jax.random.split(jax.random.key(0), 2), **options, **RECIPE
    )
    assert counted[-1] == (12, 12)


def test_a_notebook_has_one_output_that_ends_as_a_line(monkeypatch):
    """Without widgets: the picture is an output of the cell, which is replaced."""
    drawn, replaced = [], []
    handle = types.SimpleNamespace(update=lambda thing, **_: replaced.append(thing))
    found = types.ModuleType("IPython.display")
    found.display = lambda thing, **_: drawn.append(thing) or handle
    monkeypatch.setitem(sys.modules, "IPython.display", found)
    monkeypatch.setattr(bars, "REFRESH", 0.01)
    board = Board(Terminal(file=io.StringIO()), notebook=True)
    with board, board.following("scrub") as follow:
        follow("max", 1, 2, {"loss": 0.5})
        while not replaced:
            pass
        board.line = "scrub: 3 s"
    assert len(drawn) == 1 and replaced[-1] == {"text/plain": "scrub: 3 s"}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "1 s"), (89, "89 s"), (150, "2 min"), (7500, "2 h 5 min")]
)
def test_durations_are_rough(seconds, words):
    assert duration(seconds) == words
