"""SIGINT, SIGTERM and SIGHUP: one line, their status, and the same command goes on to the same numbers."""

import contextlib
import importlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from junlearn import cli, outputs
from junlearn.commands import catalogue
from junlearn.engine import checkpoint, compiling, interrupts
from junlearn.experiment import execute, records
from junlearn.experiment.progress import Reporter
from junlearn.main import main
from tests.tiny_run import CONFIG, arguments, results

run = sys.modules["junlearn.engine.run"]
"""The module: in the package its name is that of the function."""

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("interrupts")
    assert main(arguments(directory)) == 0
    return directory


def at(patch, owner, name, number, call=1, before=True):
    """Let the `call`-th call of a function be met by a signal."""
    whole, calls = getattr(owner, name), []

    def met(*given, **options):
        calls.append(0)
        if before and len(calls) == call:
            signal.raise_signal(number)
        answer = whole(*given, **options)
        if not before and len(calls) == call:
            signal.raise_signal(number)
        return answer

    patch.setattr(owner, name, met)


PLACES = {
    "configuration": (cli, "experiment", 1),
    "data": (execute, "prepare", 1),
    "look at the first epoch": (run, "_draw", 1),
    "look at the last epoch": (run, "_draw", 5),
    "first snapshot": (checkpoint, "save", 1),
    "last snapshot": (checkpoint, "save", 5),
    "evaluation": (outputs, "outputs", 2),
    "record": (records, "append", 2),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_anywhere_is_one_line_and_the_same_command_goes_on(
    undisturbed, tmp_path, monkeypatch, capfd, place
):
    owner, name, call = PLACES[place]
    words = arguments(tmp_path)
    handlers = [signal.getsignal(number) for number in STATUS]
    with monkeypatch.context() as patch:
        at(patch, owner, name, signal.SIGINT, call)
        status = main(words)
    assert status == 130
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("junlearn: interrupted")
    assert error.endswith("; the same command goes on\n")
    assert ("in stage" in error) == (owner in (run, checkpoint))
    assert [signal.getsignal(number) for number in STATUS] == handlers
    assert main(words) == 0
    assert results(tmp_path) == results(undisturbed)


@pytest.mark.parametrize("number", STATUS)
def test_each_signal_has_its_status_and_the_stage_is_named(tmp_path, monkeypatch, capfd, number):
    with monkeypatch.context() as patch:
        at(patch, run, "_draw", number, 2)
        assert main(arguments(tmp_path)) == STATUS[number]
    error = capfd.readouterr().err
    assert error == "junlearn: interrupted in stage 'train', epoch 1; the same command goes on\n"


def test_a_run_saves_before_it_ends(tmp_path, monkeypatch):
    """The last snapshot was a while ago: half a minute of work is not done again."""
    words = arguments(tmp_path, loop={"save_seconds": 1000})
    monkeypatch.setattr(run, "CHEAP_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        at(patch, run, "_draw", signal.SIGTERM, 1)
        assert main(words) == 143
    snapshots = list((tmp_path / "cache" / "models").glob("*/[0-9]*"))
    assert len(snapshots) == 1


def test_it_saves_nothing_that_is_quickly_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "CHEAP_SECONDS", 1000.0)
    with monkeypatch.context() as patch:
        at(patch, run, "_draw", signal.SIGTERM, 1)
        assert main(arguments(tmp_path, loop={"save_seconds": 1000})) == 143
    assert not list((tmp_path / "cache" / "models").glob("*/[0-9]*"))


@pytest.mark.parametrize("name", ["following", "counting"])
def test_a_terminal_is_restored(tmp_path, monkeypatch, name):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patch:
        owner = run if name == "following" else outputs
        at(patch, owner, "_draw" if name == "following" else "outputs", signal.SIGINT)
        assert main(arguments(tmp_path)) == 130
    shown = screen.getvalue()
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0


def test_sweeps_end_as_runs_do(tmp_path, monkeypatch, capfd):
    words = ["sweep", *arguments(tmp_path, sweep={"seed": [0, 1]})]
    with monkeypatch.context() as patch:
        at(patch, run, "_draw", signal.SIGINT, 7)
        assert main(words) == 130
    assert capfd.readouterr().err.startswith("junlearn: interrupted in stage 'train', epoch 1")
    assert main(words) == 0


@pytest.mark.parametrize(
    ("words", "owner", "name"),
    [
        (["list"], catalogue, "chosen"),
        (["prepare", "digits"], None, "prepare"),
        (["compat", "corrective", "--dataset=CIFAR10"], None, "parse"),
        (["statistics", "a.npz"], cli, "experiment"),
    ],
)
def test_other_commands_end_so_too(monkeypatch, capfd, words, owner, name):
    if owner is None:
        from junlearn import compat
        from junlearn.datasets import prepare

        owner = compat if name == "parse" else prepare
    at(monkeypatch, owner, name, signal.SIGTERM)
    assert main(words) == 143
    assert capfd.readouterr().err == "junlearn: interrupted; the same command goes on\n"


def test_an_error_that_a_library_made_of_it_is_an_interrupt(monkeypatch, capfd):
    def broken(*arguments):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("INTERNAL: callback failed") from None

    monkeypatch.setattr(catalogue, "chosen", broken)
    assert main(["list"]) == 143
    assert capfd.readouterr().err.count("\n") == 1


def test_an_interrupt_that_cannot_be_raised_says_nothing(monkeypatch, capfd):
    class Slow:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def chosen(*arguments):
        return [Slow(), catalogue.Chosen({}, "a")][1]

    monkeypatch.setattr(catalogue, "chosen", chosen)
    assert main(["list"]) == 0
    assert capfd.readouterr().err == ""


def test_a_second_signal_ends_at_once(tmp_path, monkeypatch, capfd):
    class Ended(BaseException):
        pass

    def end(status):
        raise Ended(status)

    def twice(store, state, position):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(checkpoint, "save", twice)
    with interrupts.handled(), pytest.raises(Ended, match="143"), interrupts.held():
        twice(None, None, None)
    assert capfd.readouterr().err == "junlearn: interrupted; the same command goes on\n"


@pytest.mark.parametrize("holds", [True, False])
def test_an_import_is_not_broken_into(tmp_path, monkeypatch, capfd, holds):
    """A library in C++ would crash; whoever holds the signal looks at it later."""

    class Ended(BaseException):
        pass

    def end(status):
        raise Ended(status)

    (tmp_path / f"slow_{holds}.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGHUP)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(os, "_exit", end)
    expected = pytest.raises(interrupts.Interrupted if holds else Ended)
    with interrupts.handled(), expected, interrupts.held() if holds else contextlib.nullcontext():
        importlib.import_module(f"slow_{holds}")
        assert holds and interrupts.pending() == signal.SIGHUP
    said = "" if holds else "junlearn: interrupted; the same command goes on\n"
    assert capfd.readouterr().err == said


def test_what_was_ignored_stays_ignored(monkeypatch):
    """As `nohup` and shells do with jobs in the background."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        at(monkeypatch, catalogue, "chosen", signal.SIGHUP)
        assert main(["list"]) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_programs_that_use_the_library_keep_their_handlers(mlp):
    """And an interrupt of theirs is the usual one."""
    handlers = [signal.getsignal(number) for number in STATUS]
    with Reporter(None).timing("nothing"):
        assert not interrupts.pending()
    assert [signal.getsignal(number) for number in STATUS] == handlers


def test_a_real_signal(tmp_path):
    """Sent when the first snapshot is there."""
    number = signal.SIGTERM
    words = arguments(tmp_path, train=CONFIG["train"] | {"epochs": 100_000})
    command = [sys.executable, "-m", "junlearn.main", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        wait_for(lambda: list((tmp_path / "cache" / "models").glob("*/0*/junlearn.json")))
        one.send_signal(number)
        error = one.communicate(timeout=60)[1]
    assert one.returncode == STATUS[number]
    assert error.startswith("junlearn: interrupted in stage 'train', epoch ")
    assert error.count("\n") == 1


def test_a_real_signal_during_imports():
    command = [sys.executable, "-m", "junlearn.main", "list"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        wait_for(lambda: "jaxlib" in Path(f"/proc/{one.pid}/maps").read_text())
        one.send_signal(signal.SIGINT)
        assert one.communicate(timeout=60)[1].count("\n") == 1
    assert one.returncode == 130


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# ----------------------------------------------------------------------------------------------------------------------
# Compilation in looks


def test_compilation_within_another_counts_once():
    found = compiling.Compiling()
    time.sleep(0.02)
    found.add(0.005)
    found.add(0.004)
    found.add(0.02)
    assert found.seconds == pytest.approx(0.02, abs=0.005)


def test_compilation_in_a_look_is_not_the_methods_time(mlp):
    """A look that does nothing but compile takes no time to evaluate."""
    from junlearn.parts import feeds
    from junlearn.types import Method, Stage, Variables

    took = []

    def until(state, evaluate):
        began = time.perf_counter()
        program = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, y: np.pi * y @ y, x))
        jax.block_until_ready(program(np.eye(7 + len(took))))
        took.append(time.perf_counter() - began)
        return False

    stage = Stage(
        "a", lambda s, b: (s, {}), lambda rng, s: feeds.sequential(np.arange(4), 4), 3, until
    )
    method = Method(
        lambda *given: jax.numpy.zeros(3), lambda split: [stage], lambda s: Variables(s, {})
    )
    done = run.run(method, *mlp, key=jax.random.key(0))
    assert done.seconds["evaluate"] < 0.5 * sum(took)
    assert done.seconds["compile"] + done.seconds["evaluate"] >= sum(took)
