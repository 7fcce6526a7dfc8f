"""All loggers of a run of the command line: which network they are told of, and that none of them can stop it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from junlearn.logs.logger import Backend, Logger, Network, epoch_of, epochs
from junlearn.logs.safely import Safely

__all__ = ["NOTHING", "RunLog", "opened"]


class RunLog:
    """What a run tells its loggers; without any, nothing happens."""

    def __init__(self, backends: Mapping[str, Backend], remark: Callable[[str], None]) -> None:
        self._all = [(backend, Safely(name, remark)) for name, backend in backends.items()]

    def __bool__(self) -> bool:
        return bool(self._all)

    def following(self, network: Network) -> Logger:
        """Who is told of the epochs of a network while it is trained."""
        return _Following(self, network)

    def network(
        self,
        network: Network,
        history: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any],
        values: Mapping[str, float],
    ) -> None:
        """A network was judged, or its record found: what the loggers do not know of it yet, its epochs included."""
        made = epochs(history)
        for epoch in made:
            self.each(lambda backend: backend.epoch(network, epoch))  # noqa: B023
        step = made[-1].step if made else 0
        self.each(lambda backend: backend.finished(network, settings, values, step))

    def pictures(self, paths: Sequence[Path]) -> None:
        """These were drawn of the run."""
        self.each(lambda backend: backend.pictures(paths))

    def close(self, failed: bool) -> None:
        """End; `failed`: the run did not come to its end."""
        self.each(lambda backend: backend.close(failed))

    def each(self, work: Callable[[Backend], None]) -> None:
        """Do it with every logger that has not failed."""
        for backend, safely in self._all:
            safely(partial(work, backend))


class _Following:
    """A `Logger` that knows which network it is told of."""

    def __init__(self, run: RunLog, network: Network) -> None:
        self._run, self._network = run, network

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Pass an epoch on."""
        epoch = epoch_of(values, step)
        self._run.each(lambda backend: backend.epoch(self._network, epoch))


NOTHING = RunLog({}, lambda line: None)
"""Of a run without loggers."""


@contextmanager
def opened(backends: Mapping[str, Backend], remark: Callable[[str], None]) -> Iterator[RunLog]:
    """These loggers, by their names, as those of a run; they are closed at the end of the block."""
    run, failed = RunLog(backends, remark), True
    try:
        yield run
        failed = False
    finally:
        run.close(failed)
