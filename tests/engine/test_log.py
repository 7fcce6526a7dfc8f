"""Objects of the user's own that are told of every epoch: of a run, after an interruption, and of many networks."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

import junlearn
from junlearn.engine import checkpoint, processes
from junlearn.errors import ConfigError
from junlearn.parts import feeds
from junlearn.types import Stage
from tests.engine.counting import counting, go, seen


class Notes:
    """Remembers what it is told."""

    def __init__(self):
        self.told = []

    def log(self, values, step):
        self.told.append((values, step))


class Broken:
    def __init__(self):
        self.asked = 0

    def log(self, values, step):
        self.asked += 1
        values.clear()
        raise OSError("no space\nleft")


@pytest.fixture
def method():
    """Ten steps an epoch: two of "a", one of "b"."""
    feed = lambda rng, state: feeds.sequential(np.arange(20), 2)  # noqa: E731
    return counting([Stage("a", seen, feed, epochs=2), Stage("b", seen, feed)])


TOLD = [
    ({"a/epoch": 0, "a/rows": 2.0}, 10),
    ({"a/epoch": 1, "a/rows": 2.0}, 20),
    ({"b/epoch": 0, "b/rows": 2.0}, 30),
]


def test_steps_go_on_over_the_stages(method, mlp):
    one, other = Notes(), Notes()
    go(method, mlp, log=[one, other])
    assert one.told == other.told == TOLD


def test_after_an_interruption_it_is_told_of_what_is_run_then(method, mlp, tmp_path):
    def progress(name, done, total, metrics):
        if (name, done) == ("a", 20):
            raise KeyboardInterrupt

    first, second = Notes(), Notes()
    store = checkpoint.Store(tmp_path / "run", owner="log")
    with pytest.raises(KeyboardInterrupt):
        go(method, mlp, store=store, save_seconds=0, progress=progress, log=first)
    go(method, mlp, store=store, log=second)
    assert (first.told, second.told) == (TOLD[:1], TOLD[1:])


def test_one_that_fails_is_left_out(method, mlp, caplog):
    broken, notes = Broken(), Notes()
    go(method, mlp, log=[broken, notes])
    assert (broken.asked, notes.told) == (1, TOLD)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith("log Broken failed") and "OSError: no space left" in line


def test_an_interrupt_within_a_logger_ends_the_run(method, mlp):
    class Library:
        def log(self, values, step):
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as error:
                raise RuntimeError("the connection was closed") from error

    with pytest.raises(RuntimeError, match="closed"):
        go(method, mlp, log=Library())


def test_the_first_process_alone_logs(method, mlp, monkeypatch):
    monkeypatch.setattr(processes, "is_first", lambda: False)
    notes = Notes()
    go(method, mlp, log=notes)
    assert notes.told == []


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("csv", "log is 'csv'"),
        (print, "log is a builtin_function_or_method"),
        (Notes, "log is "),
        ([Notes(), 3], r"log\[1\] is a"),
        (SimpleNamespace(log=3), "log is a SimpleNamespace"),
        (SimpleNamespace(log=lambda values: None), "log is a SimpleNamespace"),
    ],
    ids=["a name", "a function", "a class", "a number", "no method", "one argument"],
)
def test_what_is_no_logger(log, found, method, mlp):
    with pytest.raises(ConfigError, match=found) as error:
        go(method, mlp, log=log)
    assert "log(values, step)" in str(error.value)


def test_train_unlearn_and_many_networks(mlp):
    """Steps of many go on over the networks; a value's name begins with the number of its own."""
    data = mlp.sources["train"]
    notes, many = Notes(), Notes()
    recipe = {"epochs": 2, "batch_size": 8, "augment": False}
    trained = junlearn.train(mlp.model, data, key=0, log=notes, **recipe)
    assert [values["train/loss"] for values, _ in notes.told] == [
        entry["loss"] for entry in trained.history
    ]
    rows = [np.arange(len(data.y)), np.arange(8, len(data.y))]
    both = junlearn.train_many(mlp.model, data, rows, how="loop", log=[many], **recipe)
    assert [step for _, step in many.told] == np.cumsum(
        [entry["steps"] for entry in (*both.history[0], *both.history[1])]
    ).tolist()
    losses = {name: v for values, _ in many.told for name, v in values.items() if "loss" in name}
    assert losses == {f"{i}/train/loss": both.history[i][-1]["loss"] for i in (0, 1)}
    after = Notes()
    junlearn.unlearn(
        *(mlp.model, trained.variables, data, [0, 1, 2], "finetune"),
        key=1,
        epochs=1,
        batch_size=8,
        log=after,
    )
    ((values, _),) = after.told
    assert set(values) == {"finetune/epoch", "finetune/loss", "finetune/accuracy"}
