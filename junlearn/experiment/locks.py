"""Exclusive use of a directory by one run; the lock goes with its (first) process, however that ends.

Whoever has it removes what processes that are gone left half written in the directory.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from junlearn.engine.processes import first
from junlearn.errors import ConfigError
from junlearn.files import clear_temporaries, naming, no_link

__all__ = ["InUse", "exclusive"]

HOLDER = 20
"""Digits that the number of a process can have."""


class InUse(ConfigError):
    """Another run has the directory."""


@contextmanager
def exclusive(
    directory: Path, *, waiting: Callable[[str], None] | None = None, shared: bool = False
) -> Iterator[None]:
    """Hold `directory` (made if missing). If another run has it: InUse, or with `waiting` tell and wait.

    With `shared` only against those who want it for themselves: others who share it are let in.
    """
    with ExitStack() as held:
        first(lambda: held.enter_context(_locked(directory, waiting, shared)))
        yield


@contextmanager
def _locked(directory: Path, waiting: Callable[[str], None] | None, shared: bool) -> Iterator[None]:
    way = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "a+", opener=no_link) as lock:
        try:
            fcntl.flock(lock, way | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(HOLDER).strip() or "unknown"
            message = f"{directory} is in use by another run (process {holder})"
            if waiting is None:
                raise InUse(f"{message}; choose another --workdir") from None
            waiting(message)
            fcntl.flock(lock, way)
        with naming(directory / ".lock"):
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        clear_temporaries(directory)
        yield
