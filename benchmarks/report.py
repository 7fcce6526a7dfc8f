"""What the scripts without PyTorch share: tables in Markdown and CSV, and the seconds that compilation takes."""

import csv
import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax

__all__ = ["Seconds", "Stopwatch", "covered", "markdown", "write_csv"]

COMPILE_EVENTS = "/jax/core/compile/"
"""Tracing, lowering and compiling, or reading back what was compiled."""


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table of numbers; its first column is text, and with `texts=2` the last one too."""
    rule = ["---", *["--:"] * (len(header) - texts), *["---"] * (texts - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *rows])


def write_csv(path: Path, rows: Sequence[Any]) -> None:
    """Instances of one dataclass, a line each; None is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(rows[0])])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in rows)


class Seconds(NamedTuple):
    """The wall time of a piece of work."""

    compile: float
    work: float
    """All the rest."""


class Stopwatch:
    """Splits wall time into compilation, wherever in the process it happens, and the rest; a context manager."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._hear)

    def timed(self, work: Callable[[], Any]) -> tuple[Any, Seconds]:
        """What `work` returns, and what it took."""
        began = time.perf_counter()
        value = work()
        ended = time.perf_counter()
        compiling = covered(self._spans, began, ended)
        return value, Seconds(compiling, ended - began - compiling)

    def _hear(self, event: str, duration: float, **details: Any) -> None:
        if event.startswith(COMPILE_EVENTS):
            now = time.perf_counter()
            self._spans.append((now - duration, now))


def covered(spans: Iterable[tuple[float, float]], began: float, ended: float) -> float:
    """Seconds between `began` and `ended` that lie in any of `spans`: tracing one function traces others within."""
    total, reached = 0.0, began
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, ended)
        if end > start:
            total, reached = total + end - start, end
    return total
