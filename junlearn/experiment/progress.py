"""What a person sees while a run is going on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from junlearn.engine.settings import Progress
from junlearn.text.terminal import printable

__all__ = ["Reporter"]

SHOWN = 8
"""Bars of one run on the terminal at once; of a run with more stages the newest."""


class Reporter:
    """Lines and progress bars on the terminal; on a pipe or in a log only the lines."""

    def __init__(self, console: Console) -> None:
        self.console = console

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
        bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        tasks: dict[str, TaskID] = {}

        def follow(stage: str, done: int, total: int, metrics: dict[str, float]) -> None:
            if stage not in tasks:
                if len(tasks) >= SHOWN:
                    bars.update(list(tasks.values())[-SHOWN], visible=False)
                tasks[stage] = bars.add_task(
                    printable(f"{title} {stage}".strip()), total=total, loss=""
                )
            loss = f"loss {metrics['loss']:.4g}" if "loss" in metrics else ""
            bars.update(tasks[stage], completed=done, total=total, loss=loss)

        with bars:
            yield follow

    @contextmanager
    def timing(self, text: str) -> Iterator[None]:
        """Say `text` and how long it took when it is done, if that was a second or more."""
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        if took >= 1:
            self.say(f"{text}: {took:.1f} s")
