"""A CSV file that grows: rows are added at its end, and a row that is there is not added again."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from junlearn.files import append_line

__all__ = ["RowFile"]

Row = tuple[str, ...]


class RowFile:
    """Rows of text. All cells but the last name a row, the last is its value; the newest row of a name counts.

    One process writes at a time. The file is read when the first rows are added; it is made if missing.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self._known: dict[Row, str] | None = None

    def new(self, rows: Iterable[Row]) -> list[Row]:
        """Those that are not there yet, or with another value."""
        if self._known is None:
            self._known = {row[:-1]: row[-1] for row in self._read()}
        return [row for row in rows if self._known.get(row[:-1]) != row[-1]]

    def add(self, rows: Iterable[Row]) -> None:
        """Add those of `rows` that are new, in one write that is on disk when this returns."""
        new = self.new(rows)
        if not new:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        begun = self.path.exists() and self.path.stat().st_size
        append_line(self.path, _text(new if begun else [self.columns, *new]))
        assert self._known is not None
        self._known |= {row[:-1]: row[-1] for row in new}

    def _read(self) -> list[Row]:
        """The rows of the file. A line that was cut off in its middle is removed."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)
        text = content[:whole].decode(errors="replace")
        return [tuple(row) for row in csv.reader(io.StringIO(text)) if row][1:]


def _text(rows: Iterable[Row]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().removesuffix("\n")
