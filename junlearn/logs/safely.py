"""A logger that fails never stops a run: it is said once, and the logger is left alone from then on.

It is not asked again, as a disk that is full or a network that is gone can make every further attempt wait.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from junlearn.logs.logger import Logger, epochs, named

__all__ = ["Listeners", "Safely", "told"]

log = logging.getLogger(__name__)


class _Trained(Protocol):
    """One network of many."""

    @property
    def number(self) -> int: ...

    @property
    def history(self) -> list[dict[str, Any]]: ...


T = TypeVar("T", bound=_Trained)


class Safely:
    """Does what it is asked to do for the logger `name`, until that fails; `remark` is told so."""

    def __init__(self, name: str, remark: Callable[[str], None]) -> None:
        self.name, self.remark = name, remark
        self.over = False

    def __call__(self, work: Callable[[], None]) -> None:
        """Do it, unless the logger has failed before."""
        if self.over:
            return
        try:
            work()
        except (Exception, SystemExit) as error:
            # A library can put an error of its own in the place of an interrupt: that does end the run.
            if _interrupted(error):
                raise
            self.over = True
            reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
            self.remark(
                f"log {self.name} failed and is left out from here on, the run goes on ({reason})"
            )


class Listeners:
    """The loggers of one run."""

    def __init__(
        self, loggers: Iterable[Logger], remark: Callable[[str], None] = log.warning
    ) -> None:
        self._all = [(logger, Safely(type(logger).__name__, remark)) for logger in loggers]

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Tell each of them; every one gets a dict of its own."""
        for logger, safely in self._all:
            safely(partial(logger.log, dict(values), step))

    def epoch(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Tell of the last epoch of a history."""
        if self._all:
            last = epochs(history)[-1]
            self.log(named(last), last.step)


def told(ones: Iterable[T], loggers: Iterable[Logger], before: int = 0) -> Iterator[T]:
    """The networks `ones`, as they come; the loggers are told of all epochs of each when it is there.

    Values are called `NUMBER/STAGE/METRIC`. Steps go on over the networks: those of one begin where the one before
    ended, and those of the first one after the step `before`.
    """
    listeners = Listeners(loggers)
    for one in ones:
        its = epochs(one.history)
        for epoch in its:
            values = {f"{one.number}/{name}": value for name, value in named(epoch).items()}
            listeners.log(values, before + epoch.step)
        before += its[-1].step if its else 0
        yield one


def _interrupted(error: BaseException | None) -> bool:
    """Whether an interrupt is among the causes of an error."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
