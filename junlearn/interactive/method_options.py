"""The settings of a method, listed: a mapping for programs that prints as a table."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from junlearn.commands.fieldtable import fields_of, searched
from junlearn.display.shown import Table, grid_of, page
from junlearn.experiment.configured import configured
from junlearn.plugins.method_names import MethodName
from junlearn.plugins.registry import space_of
from junlearn.text.grids import Cell, Grid, written
from junlearn.types import Choice, Range

__all__ = ["Option", "Options", "options"]

NARROWEST = 30
"""Characters of the last column, however narrow the terminal is."""


class Option(NamedTuple):
    """A field of a method's Config."""

    type: str
    """In words, with its range: `int >= 1`, `cosine | constant`."""
    default: Any
    """Of a preset what it sets, of a filled Config what stands in it."""
    doc: str
    space: Range | Choice | None
    """What a search tries; None where the method suggests nothing."""


class Options(Mapping[str, Option]):
    """Name of a field -> `Option`; it prints as a table."""

    def __init__(self, name: str, fields: Mapping[str, Option]) -> None:
        self.name, self.fields = name, dict(fields)

    def __getitem__(self, field: str) -> Option:
        return self.fields[field]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        return str(self.table())

    def table(self, form: str = "text") -> Table:
        """A row a field: its type, its default, what a search tries, and what it is for, filled to the terminal.

        `form`: "text", "markdown", "latex", "csv" or "html". Raises ConfigError for another one.
        """
        grid = self._grid()
        if form != "text":
            return Table(grid, form)
        used = sum(
            max(map(len, column)) + 2 for column in list(zip(*self._rows(), strict=True))[:-1]
        )
        width = max(NARROWEST, shutil.get_terminal_size((100, 24)).columns - used)
        lines = []
        for *cells, doc in grid.rows:
            first, *rest = textwrap.wrap(doc.text, width) or [""]
            lines.append((*cells, Cell(first)))
            lines += [(*[Cell("")] * len(cells), Cell(text)) for text in rest]
        return Table(grid, text=written(grid._replace(rows=tuple(lines)), "text"))

    def _repr_html_(self) -> str:
        return page(f"Options of {self.name}", self._grid())

    def _rows(self) -> list[list[str]]:
        """The headings, then a row a field."""
        any_space = any(each.space for each in self.fields.values())
        return [
            ["field", "type", "default", *["search"] * any_space, "what it is for"],
            *(
                [name, each.type, repr(each.default), *[_space(each)] * any_space, each.doc]
                for name, each in self.fields.items()
            ),
        ]

    def _grid(self) -> Grid:
        headings, *rows = self._rows()
        return grid_of(headings, rows, words=len(headings))


def options(method: MethodName | Any) -> Options:
    """What can be set of a method: of a name, that of a preset too, a module, or a filled Config.

    Raises ConfigError as `junlearn.unlearn` does.
    """
    name, thing, settings = configured(method, {})
    space = space_of(method if isinstance(method, str) else thing)
    return Options(
        method if isinstance(method, str) else name,
        {
            field.name: Option(
                field.type, getattr(settings, field.name), field.doc, space.get(field.name)
            )
            for field in fields_of(thing.Config)
        },
    )


def _space(option: Option) -> str:
    return "" if option.space is None else searched(option.space)
