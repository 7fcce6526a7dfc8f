"""SIGINT (Ctrl-C), SIGTERM and SIGHUP: the command line ends soon, at a place from which the same command goes on.

The first of them ends a run at its next step boundary, after a snapshot. Whatever else is going on ends where it is; in
an import, and at a second signal, the process ends at once. Only the command line handles them: a program that uses the
library keeps its own handlers.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "behind", "handled", "held", "pending"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SHOW_CURSOR = "\x1b[?25h"
"""Bars hide it."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the work; as with KeyboardInterrupt, no `except Exception` takes it for an error."""

    def __init__(self, number: int, where: str = "") -> None:
        super().__init__(f"interrupted{f' in {where}' if where else ''}; the same command goes on")
        self.number = number

    @property
    def status(self) -> int:
        """The exit status, as shells have it: 130 of SIGINT, 143 of SIGTERM, 129 of SIGHUP."""
        return 128 + self.number


class _State:
    """The signal that came, 0 if none did, and how many parts of the program want to end by themselves."""

    number = 0
    holders = 0
    counting = threading.Lock()
    """Of `holders`: several threads may hold."""


def pending() -> int:
    """The signal that came, 0 if none did: whoever holds it ends soon, with Interrupted."""
    return _State.number


def behind(error: BaseException) -> Interrupted | None:
    """The interrupt that ended the work with `error`, which a library may have put in its place; None if none did."""
    if isinstance(error, Interrupted):
        return error
    number = pending() or (signal.SIGINT if isinstance(error, KeyboardInterrupt) else 0)
    return Interrupted(number) if number else None


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A part of the program that no first signal breaks into: it asks `pending` itself, and soon, or ends."""
    with _State.counting:
        _State.holders += 1
    try:
        yield
    finally:
        with _State.counting:
            _State.holders -= 1
    if _State.number and not _State.holders:
        raise Interrupted(_State.number)


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handle the signals in this block; in the main thread alone, and none that was ignored before (`nohup`)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.number = 0
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hook = sys.unraisablehook
    try:
        for number, handler in before.items():
            if handler not in (signal.SIG_IGN, None):
                signal.signal(number, _handle)
        sys.unraisablehook = _unless_interrupted
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        _State.number = 0


def _handle(number: int, frame: FrameType | None) -> None:
    if _State.number:
        _at_once(number, frame)
    _State.number = number
    if _State.holders:
        return
    if _imports(frame):
        # Libraries in C++ crash when an import of theirs is broken into, and others take the interrupt for a failure.
        _at_once(number, frame)
    raise Interrupted(number)


def _imports(frame: FrameType | None) -> bool:
    """Whether the program is importing a module."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _at_once(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        if os.isatty(1):
            os.write(1, SHOW_CURSOR.encode())
        os.write(2, f"junlearn: {Interrupted(number)}\n".encode())
    os._exit(128 + number)


def _unless_interrupted(failure: Any) -> None:
    """What Python cannot raise it prints; an interrupt there is not lost, `pending` tells of it."""
    if not isinstance(failure.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(failure)


def _starting() -> None:
    """Where this process is the command line that is about to begin: until it does, a signal ends it with a line."""
    by_module = sys.argv[:1] == ["-m"] and "junlearn.main" in sys.orig_argv
    by_script = bool(sys.argv) and Path(sys.argv[0]).name == "junlearn"
    if not (by_module or by_script) or threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _at_once)


_starting()
