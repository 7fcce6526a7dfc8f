"""Things that show themselves: tables that are text on a terminal and HTML in a notebook."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from junlearn.errors import unknown
from junlearn.text.grids import FORMATS, Cell, Grid, written
from junlearn.text.terminal import printable

__all__ = ["Table", "figure", "grid_of", "page"]


class Table(str):
    """A table as text, in one of the forms of `junlearn.text.grids.FORMATS`; a notebook shows it as a table."""

    grid: Grid
    form: str

    def __new__(cls, grid: Grid, form: str = "text", text: str | None = None) -> "Table":
        """`text`: how it is written, if not as `form` says. Raises ConfigError for a form that there is not."""
        if form not in FORMATS:
            raise unknown("format", form, FORMATS)
        shown = written(grid, form) if text is None else text
        table = super().__new__(cls, shown.rstrip("\n"))
        table.grid, table.form = grid, form
        return table

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (self.grid, self.form, str(self))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str | None:
        """Of what was asked for as text; Markdown and LaTeX are there to be copied."""
        return written(self.grid, "html") if self.form == "text" else None


def grid_of(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> Grid:
    """A grid of plain cells."""
    return Grid(tuple(headings), tuple(tuple(map(Cell, row)) for row in rows), words)


def page(line: str, *grids: Grid) -> str:
    """A line and tables as HTML."""
    head = Markup("<p>{}</p>\n").format(Markup("<br>").join(map(printable, line.splitlines())))
    return str(head) + "".join(written(grid, "html") for grid in grids)


def figure(value: float) -> str:
    """A number with at most four digits that count, whole numbers as they are."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
