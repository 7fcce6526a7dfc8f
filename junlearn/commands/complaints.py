"""What a person is told when something went wrong, and the exit status that goes with it."""

from junlearn.errors import DivergedError, JunlearnError
from junlearn.text import terminal

__all__ = ["complain"]


def complain(error: Exception, about: str = "") -> int:
    """Say on one line of stderr what went wrong; returns the exit status (the smaller is the graver)."""
    # No space, no permission: what was complete before is on disk.
    text = terminal.fault(error) if isinstance(error, OSError) else str(error)
    if isinstance(error, DivergedError):
        text = f"the run diverged: {text}"
    elif not isinstance(error, JunlearnError | OSError):
        text = f"{type(error).__name__}: {text}"
    terminal.complain(f"{about}{text}")
    return 2 if isinstance(error, (JunlearnError, OSError)) else 1
