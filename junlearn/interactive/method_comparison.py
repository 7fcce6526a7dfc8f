"""What a comparison of methods found: records, results, and the table of the command line."""

import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from junlearn.display.shown import Table, grid_of, page
from junlearn.engine.run import Result
from junlearn.experiment import records
from junlearn.experiment.records import Record
from junlearn.metrics.evaluation import Evaluation
from junlearn.reports import table as report
from junlearn.reports import tables
from junlearn.reports.columns import Column, shown_columns
from junlearn.text.grids import Grid
from junlearn.text.terminal import printable

__all__ = ["MethodComparison", "Run"]

OVER = ("seed", "config/key")
"""In what the runs of one row differ."""
SEVERAL = "seeds=(0, 1, 2)"
"""What `compare_methods` is asked for to see the spread between networks."""
MEANS = "Mean ± standard deviation over {} seeds; accuracies in %. The original network is one and the same."


class Run(NamedTuple):
    """Which network, and of which of several seeds."""

    label: str
    seed: int


class MethodComparison:
    """Networks that were judged on one split: the original, the retrained one, and one of each method.

    It prints as a line, `print(found.table())` is the table of the command line, and a notebook shows it. With several
    seeds the keys of `results`, `evaluations` and `failures` are pairs (label, seed), else labels.
    """

    records: list[Record]
    """In the form of the command line's `records.jsonl`."""
    results: dict[Any, Result]
    """What was trained here: the retrained network, if it was not given, and what each method left."""
    evaluations: dict[Any, Evaluation]
    """What the metrics found, of the original and the retrained network too."""
    failures: dict[Any, Exception]
    """Why a method has no record."""

    def __init__(self, seeds: Sequence[int] | None) -> None:
        self.seeds = None if seeds is None else tuple(seeds)
        self.records, self.results, self.evaluations, self.failures = [], {}, {}, {}

    def key(self, label: str, seed: int) -> Any:
        """What a network is found by."""
        return label if self.seeds is None else Run(label, seed)

    def add(
        self, label: str, seed: int, record: Record, result: Result | None, values: Evaluation
    ) -> None:
        """Put down a network that was judged."""
        place = self.key(label, seed)
        self.records.append(record)
        self.evaluations[place] = values
        if result is not None:
            self.results[place] = result

    def __repr__(self) -> str:
        labels = list(dict.fromkeys(record["method"] for record in self.records))
        seeds = "" if self.seeds is None else f"; {len(self.seeds)} seeds"
        failed = "".join(f"; {line}" for line in self._failed())
        return printable(
            f"Comparison of {', '.join(labels)}{seeds}{failed}; .table() has the values"
        )

    def table(self, form: str = "text") -> Table:
        """A row a network, as the command line prints it; of several seeds mean ± standard deviation.

        `form`: "text", "markdown", "latex", "csv" or "html". Raises ConfigError for another one.
        """
        grid = self._grid()
        if form != "text" or self.seeds is not None:
            return Table(grid, form)
        stream = io.StringIO()
        columns = shutil.get_terminal_size((100, 24)).columns
        console = Console(file=stream, width=columns, force_jupyter=False, force_terminal=False)
        report.table(self.records, console, SEVERAL)
        lines = [*stream.getvalue().strip("\n").splitlines(), *map(printable, self._failed())]
        return Table(grid, text="\n".join(line.rstrip() for line in lines))

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Append the records to a file such as `records.jsonl`, which the command line's reports read."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        for record in self.records:
            records.append(file, record)
        return file

    def _repr_html_(self) -> str:
        return page(repr(self), self._grid())

    def _failed(self) -> list[str]:
        return [
            f"{key if self.seeds is None else f'{key.label} (seed {key.seed})'} failed: {error}"
            for key, error in self.failures.items()
        ]

    def _grid(self) -> Grid:
        notes = [] if self.seeds is None else [MEANS.format(len(self.seeds))]
        notes += self._failed()
        if self.seeds is None:
            grid = report.grid_of_records(self.records)
        else:
            rows = tables.summary(tables.rows(self.records), OVER)
            columns = shown_columns(self.records)
            grid = grid_of(
                ["method", *(column.heading for column in columns), "runs"],
                [
                    [str(row["method"]), *(_mean(row, c) for c in columns), str(row["runs"])]
                    for row in rows
                ],
            )
        return grid._replace(notes=(*grid.notes, *notes))


def _mean(row: tables.Row, column: Column) -> str:
    """The cell of a metric, the deviation with as many digits as the mean."""
    mean, spread = row.get(column.metric), row.get(f"{column.metric}_std")
    if not isinstance(mean, int | float):
        return "-"
    digits = min(column.digits, 1 if column.factor == 100 else 3)
    text = f"{column.factor * mean:.{digits}f}"
    if not isinstance(spread, int | float):
        return text
    return f"{text} ± {column.factor * spread:.{digits}f}"
