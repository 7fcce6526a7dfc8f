"""`check`: a stranger's method from a file, what is said of it, and mistakes of which each is one line."""

import json

import pytest

from junlearn.main import main
from junlearn.testing import CHECKS
from tests.conftest import ROOT

GOOD = f'''
"""The right method of the tests.

Defaults:

    epochs         10
    batch_size     64
    learning_rate  0.05
"""

import sys

sys.path.insert(0, {str(ROOT)!r})
from tests.testing.tiny_methods import NEEDS, SPACE, Config, State, right as make

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]
'''
BAD = GOOD + 'NEEDS = frozenset({"retain.x"})\n'


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def write(text, name="my_method.py"):
        (tmp_path / name).write_text(text)
        return name

    return write


def call(capsys, *arguments):
    status = main(["check", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_good_method(file, capsys):
    status, out, err = call(capsys, file(GOOD), "--set", "epochs=2")
    assert (status, err) == (0, "")
    rows = dict(line.split() for line in out.splitlines() if len(line.split()) == 2)
    assert {check.__name__: "ok" for check in CHECKS}.items() <= rows.items()
    assert "no check failed" in out.splitlines()[-1]


def test_a_bad_method_for_programs(file, capsys):
    status, out, err = call(capsys, file(BAD), "--json")
    assert (status, err) == (1, "")
    found = {row["check"]: row for row in json.loads(out)}
    assert list(found) == [check.__name__ for check in CHECKS]
    assert [name for name, row in found.items() if row["passed"] is False] == ["needs"]
    assert found["needs"]["detail"] == "the method reads retain.y, which NEEDS does not name"


def test_a_bad_method_for_a_person(file, capsys):
    text = GOOD + "def make(config):\n    pass\n"
    status, out, err = call(capsys, file(text))
    assert (status, err) == (1, "")
    assert "make takes (config), not (config, model)" in " ".join(out.split())
    assert f"{len(CHECKS)}" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import moon", "my_method.py cannot be imported: ModuleNotFoundError: No module named"),
        ("def make(:", "my_method.py cannot be imported: SyntaxError: "),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("Config = 1", "lacks make (make(config, model) -> junlearn.types.Method); NEEDS (a"),
        (None, "No such file"),
    ],
)
def test_what_is_no_method_is_one_line(file, capsys, text, line):
    name = "my_method.py" if text is None else file(text)
    status, out, err = call(capsys, name)
    assert (status, out) == (2, "") and err.count("\n") == 1 and line in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "check: the following arguments are required: METHOD"),
        (["finetun"], "unknown method 'finetun'; did you mean 'finetune'?"),
        (["moon.base"], "cannot be imported: ModuleNotFoundError"),
        (["json.tool"], "json.tool is no method: it lacks Config"),
        (["naive", "--set", "epochs"], "expected FIELD=VALUE, got 'epochs'"),
        (
            ["finetune", "--set", "epoch=2"],
            "--set: unknown configuration key 'epoch'; did you mean 'epochs'",
        ),
        (["finetune", "--set", "epochs=0"], "--set: epochs: Expected `int`"),
        (["finetune", "--set", "epochs=two"], "--set: epochs: Expected `int`"),
        (["naive", "--jsn"], "unrecognized arguments: --jsn"),
        (["naive", "--set", "="], "expected FIELD=VALUE"),
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, line):
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "") and err.count("\n") == 1 and line in err


def test_a_registered_method_without_a_stage(capsys):
    status, out, _ = call(capsys, "naive", "--json")
    assert status == 0
    found = {row["check"]: row["passed"] for row in json.loads(out)}
    assert found["finished"] is True and found["resume"] is None


def test_a_signal_ends_it(file, capsys):
    text = GOOD + "def make(config, model):\n    import signal\n"
    text += "    signal.raise_signal(signal.SIGINT)\n    return right(config, model)\n"
    status, out, err = call(capsys, file(text.replace("right as make", "right")))
    assert (
        (status, out) == (130, "")
        and err.startswith("junlearn: interrupted")
        and err.count("\n") == 1
    )
