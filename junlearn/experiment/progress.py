"""What a person sees while a run is going on."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property

from rich.console import Console

from junlearn.engine import compiling
from junlearn.engine.settings import Progress
from junlearn.text.bars import Board
from junlearn.text.terminal import printable

__all__ = ["Reporter"]

SILENCE = 60.0
"""Seconds between two lines, on a pipe, that say how much is left."""


class Reporter:
    """Lines and progress bars on the terminal; on a pipe or in a log only the lines."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._said = time.monotonic()

    @cached_property
    def board(self) -> Board:
        """The bars on the terminal."""
        return Board(self.console)

    def say(self, text: str) -> None:
        """One line that stays."""
        self.console.print(
            printable(text), highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    @contextmanager
    def counting(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """`(done, total)` as a bar with the time left."""
        with self.following(title) as follow:
            yield lambda done, total: follow("", done, total, {})

    @contextmanager
    def following(self, title: str) -> Iterator[Progress]:
        """The progress of a run as a bar for each stage, with the time left and the last loss."""
        with self.board.following(title) as follow, compiling.measured(self.board.compiles):
            yield follow

    @contextmanager
    def whole(self, labels: Iterable[str]) -> Iterator[None]:
        """All networks of a run or a sweep, by their labels: a bar with the time left beside those of the stages."""
        with self.board.counting("networks", labels):
            yield

    def finished(self, label: str, seconds: float | None, earlier: float | None = None) -> None:
        """A network of `whole` is judged: after `seconds`, or (None) it was, and took `earlier` seconds to make.

        Where there are no bars a line says how much is left, once a minute.
        """
        left = self.board.finished(label, seconds, earlier)
        if left and not self.console.is_terminal and time.monotonic() - self._said >= SILENCE:
            self._said = time.monotonic()
            self.say(left)

    @contextmanager
    def timing(self, text: str) -> Iterator[None]:
        """Say `text` and how long it took when it is done, if that was a second or more."""
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        if took >= 1:
            self.say(f"{text}: {took:.1f} s")
