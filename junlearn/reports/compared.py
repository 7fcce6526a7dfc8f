"""A comparison of methods over many runs: what `compare` prints, and what `junlearn.compare` returns."""

import importlib.util
import textwrap
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from junlearn.comparison.gathering import gathered
from junlearn.comparison.placing import Place, placed
from junlearn.comparison.ranks import Ranks
from junlearn.comparison.tabulate import Table, available, ranks_of, tabulate
from junlearn.errors import ConfigError, short, unknown
from junlearn.reports import comparison_grids
from junlearn.reports.columns import Column
from junlearn.reports.comparison_columns import chosen, usual
from junlearn.reports.comparison_notes import notes
from junlearn.reports.table import fitting
from junlearn.text.grids import FORMATS, Cell, Grid, together, written

__all__ = ["Comparison", "compare", "compared"]

SPLIT = ("text", "latex")
LINE = 100
"""Characters of a line of notes, where no width is given."""
KINDS = ("auto", "pandas", "comparison")


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Methods beside one another: a table for each dataset, model and scenario, and ranks where there are several."""

    tables: tuple[Table, ...]
    columns: tuple[Column, ...]
    over: tuple[str, ...]
    """The settings that means are taken over."""
    gaps: bool = False
    """Whether every metric is its distance to the retrained network."""
    ranks: dict[str, Ranks] = field(default_factory=dict)
    """Column -> mean ranks over the tables; empty of a single table."""
    remarks: tuple[str, ...] = ()
    """What was found damaged while the records were read."""

    def table(
        self, format: str = "text", *, interval: bool = False, width: int | None = None
    ) -> str:
        """The tables as text, markdown, latex, csv or html; html is a part of a page.

        In each cell the mean and the sample standard deviation, or with `interval` half the 95 % interval. CSV has all
        of it as numbers, a row for each method and metric. With `width` a table of text or LaTeX is split into parts
        that fit into as many characters. Raises ConfigError for another format.
        """
        if format not in FORMATS:
            raise unknown("format", format, FORMATS)
        if format == "csv":
            return written(self._numbers(), "csv")
        grids = [*self._parts(interval, width if format in SPLIT else None)]
        lines = notes(
            *(self.tables, self.columns, self.over),
            gaps=self.gaps,
            interval=interval,
            ranks=bool(self.ranks),
            form=format,
        )
        lines += self.remarks
        if format == "text":
            lines = [part for line in lines for part in textwrap.wrap(line, width or LINE)]
        grids[-1] = grids[-1]._replace(notes=tuple(lines))
        text = together(grids, format)
        return f'<div class="junlearn">\n{text}</div>\n' if format == "html" else text

    def to_pandas(self) -> Any:
        """A DataFrame: a row for each place and method, columns (metric, `mean`, `std`, `low`, `high`, `runs`, ...).

        Numbers are as in the records, nothing is in percent. Needs pandas (`python -m pip install 'junlearn[pandas]'`).
        """
        if importlib.util.find_spec("pandas") is None:
            raise ConfigError(
                "a data frame needs pandas: python -m pip install 'junlearn[pandas]', or kind=\"comparison\""
            )
        import pandas

        rows = comparison_grids.flat(self.tables, self.columns, self.gaps)
        stats = [*comparison_grids.NUMBERS, "better", "standing"]
        index = [name for name in (rows[0] if rows else {}) if name not in (*stats, "metric")]
        wide: dict[tuple[Any, ...], dict[tuple[Any, Any], Any]] = {}
        for row in rows:
            own = wide.setdefault(tuple(row[name] for name in index), {})
            own |= {(row["metric"], stat): row[stat] for stat in stats}
        frame = pandas.DataFrame(
            list(wide.values()), index=pandas.MultiIndex.from_tuples(list(wide), names=index)
        )
        frame.columns = pandas.MultiIndex.from_tuples(frame.columns, names=["metric", "value"])
        return frame

    def __repr__(self) -> str:
        names = dict.fromkeys(r.name for t in self.tables for r in t.place.rows if r.competes)
        runs = [len(row.runs) for table in self.tables for row in table.place.rows]
        counts = f"{min(runs)} to {max(runs)}" if min(runs) < max(runs) else str(max(runs))
        where = (
            self.tables[0].place.title if len(self.tables) == 1 else f"{len(self.tables)} tables"
        )
        return (
            f"Comparison({', '.join(names) or 'no method'}; runs a cell: {counts}, over "
            f"{', '.join(self.over) or 'nothing'}; {where}; .table() shows it)"
        )

    def _repr_html_(self) -> str:
        return self.table("html")

    def _parts(self, interval: bool, width: int | None) -> list[Grid]:
        """All tables; those that are wider than `width` in parts, each with some of the columns."""
        found = []
        for table in self.tables:

            def grid(columns: Sequence[Column], table: Table = table) -> Grid:
                return comparison_grids.of_table(table, columns, self.gaps, interval)

            found += _narrow(grid, self.columns, width)
        if self.ranks:

            def ranking(columns: Sequence[Column]) -> Grid:
                return comparison_grids.of_ranks(self.ranks, columns, self.gaps, len(self.tables))

            shown = [column for column in self.columns if column.metric in self.ranks]
            found += _narrow(ranking, shown, width)
        return found

    def _numbers(self) -> Grid:
        rows = comparison_grids.flat(self.tables, self.columns, self.gaps)
        cells = [tuple(Cell("" if v is None else str(v)) for v in row.values()) for row in rows]
        return Grid(tuple(rows[0]) if rows else ("method",), tuple(cells))


def _narrow(grid: Any, columns: Sequence[Column], width: int | None) -> list[Grid]:
    """The grid of these columns, in as few parts as fit; the first alone has the title."""
    if width is None:
        return [grid(columns)]

    def fits(part: Sequence[Column]) -> bool:
        lines = written(grid(part)._replace(title=""), "text").splitlines()
        return max(map(len, lines)) <= width

    first, *others = [grid(part) for part in fitting(columns, fits)]
    return [first, *(other._replace(title="") for other in others)]


def compared(
    records: Any,
    *,
    over: Sequence[str] = ("seed",),
    by: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    gaps: bool = False,
) -> Comparison:
    """The comparison of records, or of those in directories and files.

    Args:
        records: a path, a record, an answer of `junlearn.compare_methods`, or a list of these. A path is the working
            directory of a run or of a sweep, or a file of records.
        over: the settings that means are taken over, such as `("seed", "scenario.classes")`; none of single runs.
        by: settings whose values are kept apart: each in a table of its own, those of a method in rows of their own.
        columns: metrics (`accuracy/retain_test`), headings ("retain test", "MIA"), `seconds`, `gap`, and patterns
            (`accuracy/*`); None: what a run's table shows.
        gaps: show of every metric the mean of `|value - that of the retrained network of the same run|`.

    Raises:
        ConfigError: where there is no record, runs differ in a setting that is not named, or a name is unknown.

    """
    remarks: list[str] = []
    for name, value in (
        ("over", over),
        ("by", by),
        ("columns", ("all",) if columns is None else columns),
    ):
        if not _are_names(value):
            raise ConfigError(f"compare: {name} is {short(value)}: a list of names is wanted")
    if columns is not None and not columns:
        raise ConfigError("compare: columns is empty: there is nothing to show")
    entries = gathered(records, remarks.append)
    places = placed(entries, over, by)
    present = available(places)
    gap = _has_gap(places)
    if gaps and not gap:
        raise ConfigError("compare: there is no retrained network in the records to be a gap from")
    if columns is None:
        asked = [name for e in entries for name in e.record["config"].get("metrics", ())]
        shown = usual(present, dict.fromkeys(asked), gap)
    else:
        shown = chosen(columns, present, gap)
    names = [column.metric for column in shown]
    tables = tuple(tabulate(place, names, gaps) for place in places)
    return Comparison(*(tables, shown, tuple(over), gaps, ranks_of(tables, names), tuple(remarks)))


def _are_names(value: Any) -> bool:
    return (
        not isinstance(value, str)
        and isinstance(value, Collection)
        and all(isinstance(v, str) for v in value)
    )


def _has_gap(places: Sequence[Place]) -> bool:
    """Whether a method and a retrained network are beside one another somewhere."""
    return any(
        any(row.role == "retrain" for row in place.rows) and any(row.competes for row in place.rows)
        for place in places
    )


def compare(
    runs: Any,
    *,
    over: Sequence[str] = ("seed",),
    by: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    gaps: bool = False,
    kind: Literal["auto", "pandas", "comparison"] = "auto",
) -> Any:
    """Compare methods over many runs: means, deviations, intervals, who is best and who is not told from it.

    The arguments are those of `junlearn.reports.compared.compared`. Returns a pandas DataFrame with `kind="pandas"`,
    a `Comparison` with `kind="comparison"`, and with "auto" a frame where pandas is installed. Warns of damaged records
    where it returns a frame; a `Comparison` has them in its notes.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    found = compared(runs, over=over, by=by, columns=columns, gaps=gaps)
    frame = kind == "pandas" or (kind == "auto" and importlib.util.find_spec("pandas") is not None)
    for remark in found.remarks if frame else ():
        warnings.warn(f"compare: {remark}", stacklevel=2)
    return found.to_pandas() if frame else found
