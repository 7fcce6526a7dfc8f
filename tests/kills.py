"""Writes that fail at a place that is chosen, as where a process is killed or a disk is full."""

import os
from collections.abc import Callable
from typing import Any

from junlearn import files
from junlearn.engine.compilations import SealedPath

__all__ = ["Killed", "Syncs", "sync_by"]


class Killed(BaseException):
    """What no `except Exception` sees, as no code sees SIGKILL."""


def sync_by(monkeypatch, fsync: Callable[[int], Any]) -> None:
    """Let writes be made sure of by `fsync`.

    Compiled programs are not kept meanwhile: whether one is depends on the time that it took.
    """
    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(SealedPath, "write_bytes", lambda path, content: len(content))


class Syncs:
    """The writes that are made sure of on disk from now on; the one at which `left` comes to 0 fails."""

    def __init__(
        self,
        monkeypatch,
        left: int = 0,
        fault: Callable[[], BaseException] = Killed,
        after: bool = False,
    ) -> None:
        """`after`: it fails when it has been done, and the process learns nothing of it."""
        self.left, self.faults = left, 0
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            self.left -= 1
            if self.left != 0:
                sync(descriptor)
                return
            if after:
                sync(descriptor)
            self.faults += 1
            raise fault()

        sync_by(monkeypatch, fsync)
