"""How long JAX compiled: what is traced, lowered and compiled while a block of the program runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

__all__ = ["Compiling", "measured"]

EVENTS = "/jax/core/compile/"
"""What the names of JAX's durations begin with that are parts of a compilation."""
LAST = "backend_compile_duration"
"""How the name of the last part ends."""


class Compiling:
    """The stretches of time in which something was compiled; what was compiled within another counts once."""

    def __init__(self, listener: Callable[[bool], None] | None = None) -> None:
        self.stretches: list[tuple[float, float]] = []
        self.listener = listener

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(end - start for start, end in self.stretches)

    def add(self, seconds: float, last: bool = True) -> None:
        """A stretch that ends now; unless it was the `last` part of a compilation, more may follow."""
        if self.listener is not None:
            self.listener(not last)
        end = time.perf_counter()
        start = end - seconds
        while self.stretches and self.stretches[-1][0] >= start:
            self.stretches.pop()
        if self.stretches:
            start = max(start, self.stretches[-1][1])
        self.stretches.append((start, end))


@contextmanager
def measured(listener: Callable[[bool], None] | None = None) -> Iterator[Compiling]:
    """Count the compilations of the block; `listener` is told whether something is being compiled."""
    found = Compiling(listener)
    _open.append(found)
    try:
        yield found
    finally:
        _open.remove(found)


_open: list[Compiling] = []


def _listen(event: str, duration_secs: float, **details: Any) -> None:
    if event.startswith(EVENTS):
        for found in _open:
            found.add(duration_secs, event.endswith(LAST))


jax.monitoring.register_event_duration_secs_listener(_listen)
