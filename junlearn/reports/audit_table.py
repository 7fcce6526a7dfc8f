"""Audits as a table for a person, and flat, one line a row, for table software."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from junlearn.reports import tables
from junlearn.reports.audit_cells import Column, Row, cell, label, ordered
from junlearn.reports.audit_columns import columns
from junlearn.reports.audit_notes import (
    SETS,
    null_lines,
    power_lines,
    remark_lines,
    title,
    verdict_lines,
    worst_lines,
)
from junlearn.reports.table import fitting
from junlearn.text.terminal import Terminal, printable

__all__ = ["audits", "flat_rows", "table", "write_table"]

VERDICT = Column("verdict", "", lambda row: row.get("verdict", {}).get("forget"))
LEGEND = "Bold, *: outside the band of a perfect unlearner, which is the null."
TWIN = "Twin: networks retrained once more, judged as the methods are."
IDENTITY = ("dataset", "model", "scenario", "method", "role", "seed", "design", "pairing")
BEFORE = ("models", "examples", "rho", "diverged")
"""Groups whose columns stand before those of the values, and after them."""
AFTER = ("p", "p_holm", "null", "detectable", "interval", "verdict", "worst", "seconds")
PLAIN = ("signal_sd", "seconds_each", "config_hash", "bank_hash", "device", "time", "examples_file")
LAST = ("versions", "config")


def audits(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each audit, which is of one bank of networks, in the order of a table."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["bank_hash"], []).append(row)
    return [ordered(group) for group in found.values()]


def table(rows: Sequence[Row], console: Console) -> None:
    """Print a table for each audit, one line a row, and below it the nulls, the power and the remarks.

    What does not fit the terminal's width stands below, in tables of its own; so do verdicts, which are never cut.
    """
    for group in audits(rows):
        _print(group, console)


def flat_rows(rows: Sequence[Row]) -> list[tables.Row]:
    """A flat row for each, all with the same columns in the same order.

    What it is of; the numbers of networks and examples; every value under its own name; `p/NAME`, `p_holm/NAME`,
    `null/NAME/low` and so on, `interval/NAME/low` and `/high`; verdicts; times; hashes; `versions/...`; `config/...`,
    the resolved configuration. What a row does not have is None; lists are JSON text.
    """
    found = [_sections(row) for row in rows]
    order = {name: None for parts in zip(*found, strict=True) for part in parts for name in part}
    flat = [{name: value for part in parts for name, value in part.items()} for parts in found]
    return [{name: row.get(name) for name in order} for row in flat]


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write `flat_rows(rows)` to `path`, as its suffix says. Raises ConfigError as `tables.check` does."""
    tables.write_rows(flat_rows(rows), path)


def _sections(row: Row) -> list[tables.Row]:
    """The columns of a row, part by part, as they come in a table."""
    limits = {
        n: dict(zip(("low", "high"), v, strict=True)) for n, v in row.get("interval", {}).items()
    }
    spread = {**row, "interval": limits}

    def group(name: str) -> tables.Row:
        return tables.flat({name: spread.get(name, {})})

    alone = {name: row[name] for name in PLAIN if name in row}
    return [
        {name: row.get(name) for name in IDENTITY},
        *map(group, BEFORE),
        tables.flat(row["values"]),
        *map(group, AFTER),
        tables.flat({**alone, "remarks": row.get("remarks", [])}),
        *map(group, LAST),
    ]


def _print(rows: Sequence[Row], console: Console) -> None:
    first = rows[0]
    _say(console, f"\n{printable(title(first))}, on {printable(first['device'])}", "bold")
    parts: list[tuple[Column, ...]] = [(*columns(first), VERDICT)]
    wide = _width(rows, parts[0]) <= console.width
    if not wide:
        parts = fitting(columns(first), lambda part: _width(rows, part) <= console.width)
    for part in parts:
        console.print(_grid(rows, part))
    notes = [*null_lines(rows), *power_lines(rows), *worst_lines(rows)]
    for line in (*verdict_lines(rows, SETS[1:] if wide else SETS), *notes):
        _say(console, printable(line))
    _say(console, LEGEND, "dim")
    if any(row["role"] == "twin" for row in rows):
        _say(console, TWIN, "dim")
    for line in remark_lines(rows):
        _say(console, f"remark: {printable(line)}", "dim")


def _grid(rows: Sequence[Row], shown: Sequence[Column]) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("method", overflow="fold")
    for column in shown:
        if column is VERDICT:
            grid.add_column(column.heading, no_wrap=True)
        else:
            width = max(_text(row, column).cell_len for row in rows)
            heading = column.heading.replace(" ", "\n")
            grid.add_column(heading, justify="right", no_wrap=True, min_width=width)
    for row in rows:
        grid.add_row(
            Text(printable(label(row)), style="bold" if row["role"] == "twin" else ""),
            *(_text(row, column) for column in shown),
        )
    return grid


def _text(row: Row, column: Column) -> Text:
    found = cell(row, column)
    if column is VERDICT:
        return Text(printable(found.text))
    return Text(f"{found.text}*", style="bold") if found.outside else Text(f"{found.text} ")


def _width(rows: Sequence[Row], shown: Sequence[Column]) -> int:
    wide = Terminal(width=10_000)
    return Measurement.get(wide, wide.options, _grid(rows, shown)).maximum


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, markup=False, highlight=False, emoji=False)
