"""Which way of training many models is the fastest here: each is timed on the first batches, once in a process."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any

import jax

from junlearn.engine.abreast import NoRoom, Row, advance
from junlearn.engine.seats import Job, window
from junlearn.engine.side_by_side import LOOPS, ManyTrainer

__all__ = ["fastest"]

TIMED_SECONDS = 0.25
"""About how long one timing is, if a step is not longer."""
ROUNDS = 3
"""Timings of each way."""

_measured: dict[Any, dict[str, float]] = {}


def fastest(trainer: ManyTrainer, asked: Any) -> tuple[str, dict[str, float]]:
    """The fastest of the candidates, and the seconds that each takes for a step of one model.

    For an equal `asked` nothing is timed again. There is one candidate where a chunk is one model anyway.
    """
    if asked not in _measured:
        single = trainer.each("vmap") == 1
        names = ("vmap", "patches", "loop") if trainer.convolves else ("vmap", "loop")
        _measured[asked] = {} if single else _times(trainer, names)
    figures = _measured[asked]
    return min(figures, key=figures.__getitem__, default="loop"), dict(figures)


def _times(trainer: ManyTrainer, names: Sequence[str]) -> dict[str, float]:
    """In alternating rounds, the fastest counts. A way that has no room for a chunk that is given is left out."""
    width = trainer.width([trainer.members])
    ways: dict[str, tuple[Any, list[Job], Row]] = {}
    for how in names:
        with suppress(NoRoom):
            _, program = trainer.program(how, width)
            chunks = islice(trainer.chunks(how, [trainer.members]), trainer.loops(how))
            jobs = [trainer.start(how, chunk) for chunk in chunks]
            ways[how] = program, jobs, window(trainer.lines(jobs[0]), width)
    began = time.perf_counter()
    best: dict[str, float] = {}
    counts = {}
    with ThreadPoolExecutor(LOOPS) as pool:

        def step(how: str, count: int) -> float:
            program, jobs, rows = ways[how]

            def go(job: Job) -> None:
                fixed = (program, trainer.scan, job.state, job.keys, trainer.sources, rows, count)
                job.state = jax.block_until_ready(advance(*fixed, "timing")[0])

            start = time.perf_counter()
            others = [pool.submit(go, job) for job in jobs[1:]]
            go(jobs[0])
            for other in others:
                other.result()
            return time.perf_counter() - start

        for how in ways:
            counts[how] = max(1, min(int(TIMED_SECONDS / step(how, 1)), width))
        for _ in range(ROUNDS):
            for how, (_, jobs, _) in ways.items():
                made = width if trainer.scan else counts[how]
                models = sum(len(job.seats) for job in jobs)
                each = step(how, counts[how]) / (models * made)
                best[how] = min(best.get(how, each), each)
    trainer.seconds["measure"] += time.perf_counter() - began
    return best
