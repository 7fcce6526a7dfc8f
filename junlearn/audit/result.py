"""What an audit leaves: its lines, the arrays beside them, and the ways to look at both."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from junlearn.audit.audit_log import Row
from junlearn.reports import audit_page, audit_plots, audit_table
from junlearn.text.terminal import Terminal

__all__ = ["Audit"]


class Audit(NamedTuple):
    """Lines of original, twin and methods, and arrays by label."""

    rows: list[Row]
    examples: Mapping[str, Mapping[str, np.ndarray]]
    """Label -> name -> array: per example, curves, and the margins of the most exposed (`by_example`)."""
    failures: Mapping[str, Exception]
    """Label of a method -> why it has no line."""

    def table(self, console: Any = None) -> None:
        """Print the table, a row a method, with the nulls below it."""
        audit_table.table(self.rows, Terminal() if console is None else console)

    def page(self, path: str | os.PathLike[str], command: str | None = None) -> Path:
        """Write the report, one HTML file that needs nothing beside it; `command` is what repeats the audit.

        One that is there already, of the same lines, stays.
        """
        if not audit_page.is_current(self.rows, Path(path)):
            audit_page.write_page(self.rows, self.examples, Path(path), command)
        return Path(path)

    def plots(
        self, folder: str | os.PathLike[str], formats: Sequence[str] = ("png",)
    ) -> list[Path]:
        """Write the pictures of the report as files: png, svg, pdf."""
        return audit_plots.write_plots(self.rows, self.examples, Path(folder), formats)
