"""Records as a table for a person."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from junlearn.experiment.effect import same_figures
from junlearn.experiment.records import Record, number_of, spent
from junlearn.experiment.references import Range, ranges
from junlearn.reports import requests
from junlearn.reports.columns import Column, first_columns, other_columns, shown_columns
from junlearn.reports.uncertainty import (
    SEVERAL,
    among,
    between,
    interval_of,
    intervals,
    place,
    small,
)
from junlearn.text.grids import Cell, Grid
from junlearn.text.terminal import Terminal, printable

__all__ = ["fitting", "grid_of_records", "table"]

C = TypeVar("C")

LEGEND = {
    "": "Accuracies in %, seconds in steps and in looks at its own progress. The row to match: the retrained network.",
    "=": "= behind a row: all accuracies are those of the original, the method changed nothing that they measure.",
    "corrective": "Corrected: against the true labels, where the manipulation acts.",
    "mia": "MIA: share of the forget set that an attack (on entropy, on confidence) calls member, and balanced "
    "accuracy of the one on entropy.",
    "mia_svc": "MIA SVC: the same share of a support vector machine on the confidence.",
    "mia_svm": "MIA SVM: balanced accuracy of a support vector machine on all probabilities.",
    "asr": "ASR: accuracy of boosted trees on sorted probabilities, as LAF and CaMU split their data.",
    "asr_xgboost": "ASR XGBoost: the same with the papers' boosted trees.",
    "js": "JS divergence (nats): to the retrained network, on the forget set.",
    "agreement": "Agreement: with the retrained network, on the forget set.",
    "zrf": "ZRF, AUS, ToW: higher is better.",
    "relearn": "Relearn: steps on the forget set until the original's accuracy there.",
    "anamnesis": "Anamnesis: relearn time over that of the retrained network; 1 is ideal.",
}
"""What the columns of a metric, and the marks, are; the first line is always there."""


def table(records: Sequence[Record], console: Console, asked: str = SEVERAL) -> None:
    """Print one row a record; what does not fit the terminal's width stands below, in tables of its own.

    Below a row are the intervals of its values, where the record has them, and below the retrained network the ranges
    among several, or else, in words, what is to be `asked` for them. Of a stream these are the records of its last
    request; below them every request has a line.
    """
    everything, records = records, requests.last(records)
    first = records[0]
    request = number_of(first)
    console.print(
        "\n"
        + printable(
            f"{first['dataset']}, {first['model']}, scenario {first['scenario']}, "
            f"{f'request {request}, ' if request else ''}seed {first['seed']}, on {first['device']}"
        ),
        style="bold",
        markup=False,
        highlight=False,
    )
    present = {name for record in records for name in record["metrics"]}
    others = other_columns(records)
    parts = [first_columns(present) + others]
    if _width(records, parts[0], first=True) > console.width:
        wanted = first_columns(present)
        first_part, *_ = fitting(
            wanted, lambda part: _width(records, part, first=True) <= console.width
        ) or [()]
        rest = wanted[len(first_part) :] + others
        parts = [first_part, *fitting(rest, lambda part: _width(records, part) <= console.width)]
    for number, columns in enumerate(parts):
        console.print(_grid(records, columns, seconds=number == 0))
    if request:
        labels = requests.networks(everything)
        for part in fitting(
            labels, lambda part: _wide(requests.grid(everything, part)) <= console.width
        ):
            console.print(requests.grid(everything, part))
    families = {"", *(column.metric.split("/")[0] for part in parts for column in part)}
    if any(_idle(record, records) for record in records):
        families.add("=")
    lines = [line for family, line in LEGEND.items() if family in families]
    count, _ = ranges(records)
    if any("intervals" in record for record in records):
        lines.append(intervals(count, asked))
    if count > 1:
        lines.append(among(count))
    text = "\n".join([*lines, *([requests.LEGEND] if request else [])])
    console.print(text, style="dim", highlight=False)
    if warning := small(records):
        console.print(f"warning: {printable(warning)}", markup=False, highlight=False)


def grid_of_records(records: Sequence[Record]) -> Grid:
    """The same rows as a grid of words, for other forms than a terminal's."""
    columns = shown_columns(records)
    rows = []
    for record in records:
        texts = [_format(record["metrics"].get(column.metric), column) for column in columns]
        texts += [f"{spent(record):.1f}", "=" if _idle(record, records) else ""]
        rows.append((Cell(record["method"]), *map(Cell, texts)))
    headings = ("method", *(column.heading for column in columns), "seconds", "")
    return Grid(headings, tuple(rows), notes=(LEGEND[""],))


def fitting(columns: Sequence[C], fits: Callable[[Sequence[C]], bool]) -> list[tuple[C, ...]]:
    """The columns in as few parts, in their order, as each `fits`; a column at least in each."""
    parts: list[tuple[C, ...]] = []
    for column in columns:
        if parts and fits((*parts[-1], column)):
            parts[-1] = (*parts[-1], column)
        else:
            parts.append((column,))
    return parts


def _width(records: Sequence[Record], columns: Sequence[Column], first: bool = False) -> int:
    return _wide(_grid(records, columns, seconds=first))


def _wide(grid: Table) -> int:
    wide = Terminal(width=10_000)
    return Measurement.get(wide, wide.options, grid).maximum


def _grid(records: Sequence[Record], columns: Sequence[Column], *, seconds: bool) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("method", no_wrap=True)
    for column in columns:
        grid.add_column(column.heading.replace(" ", "\n"), justify="right")
    if seconds:
        grid.add_column("seconds", justify="right")
        grid.add_column("")
    count, found = ranges(records)
    cells = [_cells(records, column, found.get(column.metric)) for column in columns]
    for number, record in enumerate(records):
        retrained = record["role"] == "retrain"
        values = [column[number] for column in cells]
        if seconds:
            values += [f"{spent(record):.1f}", "=" if _idle(record, records) else ""]
        emphasis = "bold" if retrained else None
        grid.add_row(Text(printable(record["method"])), *values, style=emphasis)
        known = [interval_of(record, column.metric) for column in columns]
        if any(known):
            texts = [i and between(i, c) for i, c in zip(known, columns, strict=True)]
            grid.add_row("", *texts, style="dim")
        if retrained and count > 1:
            texts = [(r := found.get(c.metric)) and between(r, c) for c in columns]
            grid.add_row(f"among {count}", *texts)
    return grid


def _cells(records: Sequence[Record], column: Column, among: Range | None) -> list[str]:
    """A column's values, with an arrow behind those that are outside of the range among retrained networks."""
    values = [record["metrics"].get(column.metric) for record in records]
    marks = [
        "" if value is None or record["role"] == "retrain" else place(value, among)
        for value, record in zip(values, records, strict=True)
    ]
    wide = max(map(len, marks), default=0)
    return [_format(v, column) + mark.ljust(wide) for v, mark in zip(values, marks, strict=True)]


def _idle(record: Record, records: Sequence[Record]) -> bool:
    """Whether the record is of a method whose accuracies are those of the original among `records`."""
    originals = [other for other in records if other["role"] == "original"]
    return record["role"] == "unlearn" and any(
        same_figures(original["metrics"], record["metrics"]) for original in originals
    )


def _format(value: float | None, column: Column) -> str:
    return "-" if value is None else f"{column.factor * value:.{column.digits}f}"
