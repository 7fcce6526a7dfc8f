"""How long JAX compiled: what is traced, lowered and compiled while a block of the program runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

__all__ = ["Compiling", "measured"]

EVENTS = "/jax/core/compile/"
"""What the names of JAX's durations begin with that are parts of a compilation."""


class Compiling:
    """The stretches of time in which something was compiled; what was compiled within another counts once."""

    def __init__(self) -> None:
        self.stretches: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(end - start for start, end in self.stretches)

    def add(self, seconds: float) -> None:
        """A stretch that ends now."""
        end = time.perf_counter()
        start = end - seconds
        while self.stretches and self.stretches[-1][0] >= start:
            self.stretches.pop()
        if self.stretches:
            start = max(start, self.stretches[-1][1])
        self.stretches.append((start, end))


@contextmanager
def measured() -> Iterator[Compiling]:
    """Count the compilations of the block."""
    found = Compiling()
    _open.append(found)
    try:
        yield found
    finally:
        _open.remove(found)


_open: list[Compiling] = []


def _listen(event: str, duration_secs: float, **details: Any) -> None:
    if event.startswith(EVENTS):
        for found in _open:
            found.add(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_listen)
