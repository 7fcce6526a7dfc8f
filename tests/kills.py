"""Writes that fail at a place that is chosen, as where a process is killed or a disk is full."""

import os
from collections.abc import Callable

from junlearn import files

__all__ = ["Killed", "Syncs"]


class Killed(BaseException):
    """What no `except Exception` sees, as no code sees SIGKILL."""


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

        monkeypatch.setattr(files.os, "fsync", fsync)
