"""What Orbax says on stderr beside the error that it raises: every failure of a save is told once, by whoever saves.

The threads of a save log a traceback each, and what they leave undone is complained of when it is collected.
"""

import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["orbax"]

NEVER_AWAITED = r"coroutine '.*' was never awaited"


@contextmanager
def orbax() -> Iterator[None]:
    """Nothing but the error of a save or a load that fails in this block; other libraries are not touched."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_not_of_orbax)
    try:
        yield
    except BaseException:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", NEVER_AWAITED, RuntimeWarning)
            hook, sys.unraisablehook = sys.unraisablehook, lambda failure: None
            try:
                gc.collect()
            finally:
                sys.unraisablehook = hook
        # What threads that are still waiting hold is collected later.
        warnings.filterwarnings("ignore", NEVER_AWAITED, RuntimeWarning)
        raise


def _not_of_orbax(record: logging.LogRecord) -> bool:
    """Whether a line is not an error in a task of Orbax."""
    told = "orbax" in record.pathname or "orbax" in record.getMessage()
    return record.levelno < logging.ERROR or not told
