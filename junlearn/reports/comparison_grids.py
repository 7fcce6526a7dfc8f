"""A comparison as tables of words: cells with sensible digits, what is best, and the notes below."""

import math
import statistics
from collections.abc import Sequence

from junlearn.comparison.cells import Cell as Number
from junlearn.comparison.placing import Row
from junlearn.comparison.ranks import Ranks
from junlearn.comparison.scores import GAP, better
from junlearn.comparison.tabulate import Table
from junlearn.reports.columns import Column
from junlearn.text.grids import Cell, Grid

__all__ = ["digits", "flat", "of_ranks", "of_table"]

ARROWS = {"max": " ↑", "min": " ↓", "retrain": " →", None: ""}
PERCENT = "accuracy in %"
ROUNDING = 1e-9
"""Deviations below it are those of equal values."""
NUMBERS = ("mean", "std", "low", "high", "runs", "p_holm")


def digits(column: Column, cells: Sequence[Number], interval: bool) -> int:
    """Decimals for a column: two figures of its usual spread; without any spread those that the column has by itself.

    The usual spread is the median over the rows that have one above zero. In percent there are at most two decimals,
    and elsewhere at most one more than the column has by itself.
    """
    spreads = [column.factor * (cell.half if interval else cell.deviation) for cell in cells]
    above = [spread for spread in spreads if spread > ROUNDING]
    if not above:
        return column.digits
    most = column.digits + (column.factor == 1)
    return min(max(1 - math.floor(math.log10(statistics.median(above))), 0), most)


def of_table(table: Table, columns: Sequence[Column], gaps: bool, interval: bool) -> Grid:
    """The means of one place."""
    rows = [
        row for row in table.place.rows if any((row.name, c.metric) in table.cells for c in columns)
    ]
    decimals = {
        column.metric: digits(
            column, [c for (_, name), c in table.cells.items() if name == column.metric], interval
        )
        for column in columns
    }
    lines = []
    for row in rows:
        numbers = [table.cells.get((row.name, column.metric)) for column in columns]
        counts = {number.runs for number in numbers if number is not None}
        cells = [
            _cell(number, column, decimals[column.metric], interval, len(counts) > 1)
            for number, column in zip(numbers, columns, strict=True)
        ]
        runs = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(min(counts))
        lines.append((Cell(row.name), *cells, Cell(runs)))
    return Grid(
        ("method", *(_heading(column, gaps) for column in columns), "runs"),
        tuple(lines),
        title=table.place.title + (": gaps to the retrained network" if gaps else ""),
        groups=_groups(columns),
        rules=_rules(rows),
    )


def of_ranks(ranks: dict[str, Ranks], columns: Sequence[Column], gaps: bool, tables: int) -> Grid:
    """Mean ranks over the tables, and what Friedman's test says of them."""
    shown = [column for column in columns if ranks.get(column.metric, Ranks({})).means]
    names = list(dict.fromkeys(name for c in shown for name in ranks[c.metric].means))
    lines = []
    for name in names:
        found = [ranks[column.metric].means for column in shown]
        cells = [
            Cell(f"{own[name]:.1f}", strong=own[name] == min(own.values()))
            if name in own
            else Cell("-")
            for own in found
        ]
        lines.append((Cell(name), *cells))
    rules: tuple[int, ...] = ()
    if any(ranks[column.metric].p is not None for column in shown):
        rules = (len(lines),)
        values = [ranks[column.metric].p for column in shown]
        cells = [Cell("-" if p is None else f"{p:.3f}") for p in values]
        lines.append((Cell("Friedman p"), *cells))
    return Grid(
        ("method", *(_heading(column, gaps) for column in shown)),
        tuple(lines),
        title=f"mean rank over {tables} tables",
        groups=_groups(shown, closing=0),
        rules=rules,
    )


def flat(tables: Sequence[Table], columns: Sequence[Column], gaps: bool) -> list[dict[str, object]]:
    """A row for each method and column, with the numbers as they are: nothing is rounded or in percent.

    `mean`, `std`, `low`, `high` (the 95 % interval), `runs`, `better`, `standing` (best, tied) and `p_holm`, beside
    the place, the method and the metric.
    """
    keys = dict.fromkeys(name for table in tables for name in table.place.values)
    found = []
    for table in tables:
        for row in table.place.rows:
            for column in columns:
                cell = table.cells.get((row.name, column.metric))
                if cell is None:
                    continue
                of_gap = gaps and column.metric not in (GAP, "seconds")
                found.append(
                    {
                        **table.place.names,
                        **{key: table.place.values.get(key) for key in keys},
                        "method": row.name,
                        "role": row.role,
                        "metric": f"gap of {column.metric}" if of_gap else column.metric,
                        **numbers(cell),
                        "better": better(column.metric, gaps),
                        "standing": cell.standing or None,
                    }
                )
    return found


def numbers(cell: Number) -> dict[str, float | int | None]:
    """The numbers of a cell by their names; None where a single run has none."""
    values = (cell.mean, cell.deviation, cell.low, cell.high, cell.runs, cell.p)
    return {
        name: None if value is None or math.isnan(value) else value
        for name, value in zip(NUMBERS, values, strict=True)
    }


def _cell(
    number: Number | None, column: Column, decimals: int, interval: bool, counted: bool
) -> Cell:
    if number is None:
        return Cell("-")
    spread = number.half if interval else number.deviation
    text = f"{column.factor * number.mean:.{decimals}f}"
    if not math.isnan(spread):
        text += f" ± {column.factor * spread:.{decimals}f}"
    if counted:
        text += f" ({number.runs})"
    return Cell(text, number.standing == "best", number.standing == "tied")


def _heading(column: Column, gaps: bool) -> str:
    """On two lines where it has two words; with an arrow to what is better."""
    return column.heading.replace(" ", "\n") + ARROWS[better(column.metric, gaps)]


def _groups(columns: Sequence[Column], closing: int = 1) -> tuple[tuple[str, int], ...]:
    """Accuracies stand below their unit."""
    groups: list[tuple[str, int]] = [("", 1)]
    for title in (PERCENT if c.metric.startswith("accuracy/") else "" for c in columns):
        if groups[-1][0] == title:
            groups[-1] = (title, groups[-1][1] + 1)
        else:
            groups.append((title, 1))
    groups += [("", closing)] if closing else []
    return tuple(groups) if any(title for title, _ in groups) else ()


def _rules(rows: Sequence[Row]) -> tuple[int, ...]:
    """A line between the networks to look like and the methods."""
    references = sum(not row.competes for row in rows)
    return (references,) if references else ()
