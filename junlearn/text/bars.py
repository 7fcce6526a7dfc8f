"""Bars of what is going on, on a terminal and in a notebook; in a log there are none."""

import statistics
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from junlearn.text.terminal import printable

__all__ = ["Board", "Follow", "duration"]

Follow = Callable[[str, int, int, dict[str, float]], None]
"""`(stage, steps done, steps in all, metrics)`."""

SHOWN = 8
"""Bars of one run at once; of a run with more stages the newest."""
REFRESH = 0.5
"""Seconds between two pictures of the bars in a notebook. What is quicker leaves none."""


class Board:
    """All bars of a run: one for each stage, one for what compiles, one for all networks that are to come."""

    def __init__(self, console: Console, *, notebook: bool = False) -> None:
        self.console, self.notebook = console, notebook
        self.bars: Progress | None = None
        self.compiling: TaskID | None = None
        self.whole: _Whole | None = None
        self.line = ""
        """What is left in a notebook when the bars have gone."""
        self._shown: _Picture | None = None
        self._depth = 0

    def __enter__(self) -> "Board":
        self._depth += 1
        if self._depth == 1:
            self.bars = _bars(self.console, disable=self.notebook or not self.console.is_terminal)
            self.bars.start()
            if self.notebook:
                self._shown = _Picture(self.bars)
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self.bars is not None:
            self.bars.stop()
            self.bars = self.compiling = None
            if self._shown is not None:
                self._shown.close(self.line)

    @contextmanager
    def following(self, title: str) -> Iterator[Follow]:
        """The progress of a run as a bar for each stage, with the time left and the last loss."""
        tasks: dict[str, TaskID] = {}
        with self:
            bars = self.bars
            assert bars is not None

            def follow(stage: str, done: int, total: int, metrics: dict[str, float]) -> None:
                self.compiles(False)
                if stage not in tasks:
                    if len(tasks) >= SHOWN:
                        bars.update(list(tasks.values())[-SHOWN], visible=False)
                    name = printable(f"{title} {stage}".strip())
                    tasks[stage] = bars.add_task(name, total=total, note="")
                note = f"loss {metrics['loss']:.4g}" if "loss" in metrics else ""
                bars.update(tasks[stage], completed=done, total=total, note=note)

            try:
                yield follow
            finally:
                # What is around it may go on to show others.
                for task in tasks.values() if self._depth > 1 else ():
                    bars.remove_task(task)

    def compiles(self, busy: bool) -> None:
        """Show, or show no more, that something is compiled; how long it takes stands beside it."""
        if self.bars is None or busy == (self.compiling is not None):
            return
        if busy:
            self.compiling = self.bars.add_task("compiling", total=None, note="")
        elif self.compiling is not None:
            self.bars.remove_task(self.compiling)
            self.compiling = None

    @contextmanager
    def counting(self, what: str, labels: Iterable[str]) -> Iterator[None]:
        """A bar for everything that is to come, one of `labels` after the other; within another such bar none.

        `finished` moves it on.
        """
        if self.whole is not None:
            yield
            return
        with self:
            assert self.bars is not None
            self.whole = _Whole(what, list(labels), self.bars)
            try:
                yield
            finally:
                self.bars.remove_task(self.whole.task)
                self.whole = None

    def finished(self, label: str, seconds: float | None, earlier: float | None = None) -> str:
        """One of `counting` is there: after `seconds`, or (None) it was kept, and had taken `earlier` seconds then.

        Returns what is left in words; nothing where nothing is counted or left.
        """
        return "" if self.whole is None else self.whole.finished(label, seconds, earlier)


class _Whole:
    """What is to come, and how long each kind of it took."""

    def __init__(self, what: str, labels: list[str], bars: Progress) -> None:
        self.what, self.labels, self.bars = what, labels, bars
        self.total, self.done = len(labels), 0
        self.took: dict[str, list[float]] = {}
        self.earlier: dict[str, list[float]] = {}
        self.task = bars.add_task(what, total=self.total, note="", kinds=True)

    def finished(self, label: str, seconds: float | None, earlier: float | None) -> str:
        if label in self.labels:
            self.labels.remove(label)
        self.done += 1
        for figures, figure in ((self.took, seconds), (self.earlier, earlier)):
            if figure is not None:
                figures.setdefault(label, []).append(figure)
        left = self.left()
        note = "" if left is None or not self.labels else f"about {duration(left)} left"
        self.bars.update(self.task, completed=self.done, total=self.total, note=note)
        counted = f"{self.done} of {self.total} {self.what}"
        return f"{counted} are done{note and ', ' + note}" if self.labels else ""

    def left(self) -> float | None:
        """Seconds, from the mean of what each label took; of an unknown label from that of all others."""
        known = self.earlier | self.took
        if not known:
            return None
        means = {label: statistics.fmean(figures) for label, figures in known.items()}
        other = statistics.fmean(means.values())
        return sum(means.get(label, other) for label in self.labels)


class _Picture(threading.Thread):
    """The bars as an output of a notebook's cell, drawn anew while they move; no widgets are needed."""

    def __init__(self, bars: Progress) -> None:
        super().__init__(daemon=True)
        self.bars, self.handle = bars, None
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        """Until it is closed."""
        while not self.over.wait(REFRESH):
            self.draw(self.bars)

    def draw(self, thing: Any, **options: Any) -> None:
        """Put `thing` in the place of the last picture."""
        from IPython.display import display

        if self.handle is None:
            self.handle = display(thing, display_id=True, **options)
        else:
            self.handle.update(thing, **options)

    def close(self, line: str) -> None:
        """Leave one line; none where there was no picture yet and there is nothing to say."""
        self.over.set()
        self.join()
        if self.handle is not None or line:
            self.draw({"text/plain": line}, raw=True)


def duration(seconds: float) -> str:
    """Seconds in words, rough: 12 s, 3 min, 2 h 5 min."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"


class _Count(MofNCompleteColumn):
    """Steps, where it is known how many there are."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class _Left(TimeRemainingColumn):
    """The time left by the speed of the last steps; what is said in words instead stands in the note."""

    def render(self, task: Task) -> Text:
        quiet = task.total is None or "kinds" in task.fields
        return Text() if quiet else Text("left ").append_text(super().render(task))


def _bars(console: Console, *, disable: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Count(),
        TimeElapsedColumn(),
        _Left(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
        disable=disable,
    )
