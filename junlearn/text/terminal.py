"""The terminal: what comes from outside is shown there as it is, and commands nothing.

Names of files, folders and classes and values of configurations can hold escape sequences, characters that turn the
direction of writing, and what rich takes for markup. All of it passes through here.
"""

import contextlib
import errno
import logging
import os
import sys
import unicodedata
from collections.abc import Iterator
from typing import IO, Any

from rich.console import Console
from rich.text import Text

__all__ = [
    "Lines",
    "Terminal",
    "complain",
    "fault",
    "flush",
    "logging_lines",
    "open_streams",
    "printable",
    "silence_output",
]

JOINERS = "\u200c\u200d"
"""Invisible, but a part of words in several scripts."""

NAMES = (str, bytes, os.PathLike)
"""What an error of the system can name a file by."""

STDOUT = "the standard output"

CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls, invisible formats such as directions, halves of characters, separators of lines."""


def printable(text: object, keep: str = "") -> str:
    """`text` in one line, with a backslash escape for every character that would do something instead of being seen.

    Characters in `keep` stay.
    """
    return "".join(c if c in keep or _harmless(c) else _escape(c) for c in str(text))


def _harmless(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character) not in CATEGORIES


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


class Terminal(Console):
    """A console of rich that takes text as it is: no markup, no names of emoji, no colours by content."""

    def __init__(
        self, *, quiet: bool = False, file: IO[str] | None = None, width: int | None = None
    ) -> None:
        super().__init__(
            quiet=quiet, file=file, width=width, markup=False, emoji=False, highlight=False
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed, also a cell of a table; lines may be broken in it."""
        return super().render_str(printable(text, keep="\n"), **options)

    def on_broken_pipe(self) -> None:
        """Whoever reads has gone: the command line ends quietly."""
        raise BrokenPipeError


class Lines(logging.Handler):
    """What the library logs, as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it as the command line prints its other lines."""
        complain(record.getMessage())


@contextlib.contextmanager
def logging_lines() -> Iterator[None]:
    """What the library logs in this block is printed, as `Lines` does."""
    handler = Lines()
    log = logging.getLogger("junlearn")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def fault(error: OSError) -> str:
    """What the system could not do, and with which files; stdout, if it is that which cannot be written."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ELOOP:
        reason = "it is a link, which is not followed here: remove it"
    names = [os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, NAMES)]
    if not names and _stdout_fails(error.errno):
        names = [STDOUT]
    return f"{reason}: {' and '.join(names)}" if names else reason


def _stdout_fails(number: int | None) -> bool:
    """Whether stdout, where it is no terminal, meets the same error once more."""
    try:
        sys.stdout.flush()
        if not sys.stdout.isatty():
            os.write(sys.stdout.fileno(), b"\n")
    except OSError as error:
        return error.errno == number
    except (AttributeError, ValueError):
        pass
    return False


def complain(text: str) -> None:
    """Print one line on stderr, where that can be written."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    with contextlib.suppress(OSError, ValueError):
        print(f"junlearn: {printable(line)}", file=sys.stderr, flush=True)


def open_streams() -> None:
    """Make sure that no file which the run opens becomes its stdin, stdout or stderr, and that all text can be shown.

    Where one of these is closed, the next file opened would take its number.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write to stdout what is not written yet. Raises OSError that names it."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            error.filename = STDOUT
            raise


def silence_output() -> None:
    """Let what is still to be written to stdout go nowhere: at its end Python would complain of it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
