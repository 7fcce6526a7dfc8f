"""Progress in Python: bars on a terminal and in a notebook, a function of one's own, or silence."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from rich import get_console

from junlearn.engine import compiling, processes
from junlearn.engine.inputs.options import check_progress
from junlearn.engine.settings import Progress
from junlearn.text.bars import Board, duration
from junlearn.text.terminal import Terminal, printable

__all__ = ["Shown", "Watcher", "board", "counted", "shown"]

Shown = Progress | str | bool | None
"""What a call can say of its progress: "auto" or True, None or False for silence, or a function."""

LONG = 1.0
"""Seconds of work that are worth a line when it is done."""


def board() -> Board | None:
    """The bars of this place: a notebook, or a terminal, stderr; None in a log, on a pipe and while tests run.

    Of several processes the first one alone has them.
    """
    if "PYTEST_CURRENT_TEST" in os.environ or not processes.is_first():
        return None
    if get_console().is_jupyter:
        return Board(get_console(), notebook=True)
    console = Terminal(file=sys.stderr)
    return Board(console) if console.is_terminal and not console.is_dumb_terminal else None


class Watcher:
    """What the passes of one call tell: a board's bars, a function, or nothing."""

    def __init__(self, board: Board | None, function: Progress | None = None) -> None:
        self.board, self.function = board, function

    @contextmanager
    def following(self, title: str, name: str = "") -> Iterator[Progress | None]:
        """The progress of a run; a function gets the names of its stages behind `name`."""
        function = self.function
        if self.board is not None:
            with self.board.following(title) as follow:
                yield follow
        elif function is not None and name:
            yield lambda stage, *rest: function(f"{name} {stage}".strip(), *rest)
        else:
            yield function

    @contextmanager
    def counting(self, title: str) -> Iterator[Any]:
        """`(done, total)` of one pass."""
        with self.following(title, title) as follow:
            yield None if follow is None else lambda done, total: follow("", done, total, {})

    @contextmanager
    def whole(self, what: str, labels: Sequence[str]) -> Iterator[None]:
        """A bar for all that is to come; `timed` moves it on."""
        with nullcontext() if self.board is None else self.board.counting(what, labels):
            yield

    @contextmanager
    def timed(self, label: str) -> Iterator[None]:
        """One of `whole`."""
        began = time.perf_counter()
        yield
        if self.board is not None:
            self.board.finished(label, time.perf_counter() - began)


@contextmanager
def shown(title: str, progress: Shown) -> Iterator[Watcher]:
    """What a call with `progress` lets a person see. Raises ConfigError as `check_progress` does.

    On a board a line stays behind work of a second or more: how long it took, and how much of that compiled.
    """
    chosen = check_progress(progress)
    bars = board() if chosen == "auto" else None
    if bars is None:
        yield Watcher(None, chosen if callable(chosen) else None)
        return
    began = time.perf_counter()
    with bars, compiling.measured(bars.compiles) as compiled:
        yield Watcher(bars)
        took = time.perf_counter() - began
        if took >= LONG:
            line = f"{title}: {duration(took)}"
            if compiled.seconds >= LONG:
                line += f", of which {duration(compiled.seconds)} compiling"
            bars.line = printable(line)
    if bars.line and not bars.notebook:
        bars.console.print(bars.line, soft_wrap=True)


@contextmanager
def counted(title: str, progress: Shown) -> Iterator[Callable[[int, int], None] | None]:
    """The same for a call that counts: a function of one's own gets `(done, total)`."""
    with shown(title, progress) as watcher:
        if watcher.board is None:
            yield watcher.function  # type: ignore[misc]
        else:
            with watcher.counting(title) as count:
                yield count
