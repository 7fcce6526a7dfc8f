"""What is printed goes out on every terminal and pipe: letters that it does not have, and readers that have left."""

import errno
import io
import os
import sys
from typing import Any

__all__ = ["forgiving"]


def forgiving(own: bool) -> None:
    r"""Let stdout and stderr take any text: letters that an encoding lacks are written as `\u2014` is here.

    `own`: the program is ours alone, and a reader that leaves (`| head`) ends neither it nor its work with an error:
    from then on the text goes nowhere.
    """
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if own and stream is not None and stream is getattr(sys, f"__{name}__"):
            stream = _outliving(stream)
            setattr(sys, name, stream)
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Deaf(io.FileIO):
    """A pipe that takes everything when nobody reads it any more."""

    def write(self, data: Any, /) -> Any:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
        # Reads as written; the descriptor itself is turned away for what writes to it directly.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return memoryview(data).nbytes


def _outliving(stream: Any) -> Any:
    """The same stream, over a pipe that outlives its reader."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Deaf(descriptor, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        newline=None,
        line_buffering=stream.line_buffering,
        write_through=getattr(stream, "write_through", False),
    )
