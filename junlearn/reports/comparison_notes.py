"""What stands below the tables of a comparison: what its numbers are, and what they do not say."""

from collections.abc import Iterator, Sequence

from junlearn.comparison.placing import Place
from junlearn.comparison.scores import GAP, better
from junlearn.comparison.significance import LEVEL, PAIRS
from junlearn.comparison.tabulate import Table
from junlearn.reports.columns import Column
from junlearn.reports.comparison_columns import KNOWN

__all__ = ["notes"]

MARKS = {
    "text": ("*", "."),
    "markdown": ("bold", "in italics"),
    "latex": ("bold", "underlined"),
    "html": ("bold", "in italics"),
}
FEW = 10
"""Runs below which a test seldom finds a difference that is there."""


def notes(
    tables: Sequence[Table],
    columns: Sequence[Column],
    over: Sequence[str],
    *,
    gaps: bool,
    interval: bool,
    ranks: bool,
    form: str,
) -> list[str]:
    """Lines on the numbers in these tables, in words for the format `form`."""
    best, tied = MARKS[form]
    spread = "95 % Student interval" if interval else "sample standard deviation"
    most = max((cell.runs for table in tables for cell in table.cells.values()), default=1)
    named = f"mean ± {spread} over {' and '.join(over)}" if most > 1 else "one run a cell"
    found = [
        f"{named}; a number in brackets is how many runs a cell has" if _uneven(tables) else named
    ]
    if any(table.contests for table in tables):
        found[0] += f"; {best}: the best of a column"
    if any(contest.p for table in tables for contest in table.contests.values()):
        found[0] += (
            f"; {tied}: not significantly worse than it (paired t test over the runs, two-sided, "
            f"Holm-corrected over the methods of the column, {LEVEL:.0%})"
        )
    if any(better(c.metric, gaps) == "retrain" for c in columns):
        found.append("→: the best is the nearest to the retrained network of the same run")
    found += _gap(tables, columns, gaps)
    found += _untested(tables, most)
    if ranks:
        found.append(
            "ranks: of the methods in all tables; 1 is the best mean of a table, equal means share a rank"
        )
        found[-1] += "; Friedman p: of all methods being equal, approximate for few tables"
    return [*found, *provenance([table.place for table in tables])]


def _uneven(tables: Sequence[Table]) -> bool:
    """Whether the cells of a row are of different numbers of runs."""
    counts: dict[tuple[int, str], set[int]] = {}
    for number, table in enumerate(tables):
        for (row, _), cell in table.cells.items():
            counts.setdefault((number, row), set()).add(cell.runs)
    return any(len(found) > 1 for found in counts.values())


def _gap(tables: Sequence[Table], columns: Sequence[Column], gaps: bool) -> Iterator[str]:
    if gaps:
        yield "every value is the mean of |difference to the retrained network of the same run|"
    if any(column.metric == GAP for column in columns):
        for parts in dict.fromkeys(table.parts for table in tables if table.parts):
            words = ", ".join(KNOWN[name].heading for name in parts)
            yield (
                "gap: mean of |difference to the retrained network of the same run| "
                f"over {words}, in points of %"
            )


def _untested(tables: Sequence[Table], most: int) -> Iterator[str]:
    contests = [contest for table in tables for contest in table.contests.values()]
    tested = any(contest.p for contest in contests)
    without = list(dict.fromkeys(name for contest in contests for name in contest.untested))
    if without and not tested:
        yield f"nothing is tested against the best: that needs {PAIRS} runs that two methods share"
    elif without:
        yield f"{', '.join(without)}: not tested where the best has fewer than {PAIRS} runs in common"
    if tested and most < FEW:
        yield f"with {most} runs only large differences are found: a mark says little"


def provenance(places: Sequence[Place]) -> Iterator[str]:
    """Where the records are of different origin: versions, devices, code; and which were there twice."""
    records = [r for place in places for row in place.rows for r in row.runs.values()]
    versions: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
    mixed = [f"{n} {' and '.join(sorted(v))}" for n, v in versions.items() if len(v) > 1]
    if mixed:
        yield f"records of several versions: {', '.join(mixed)}"
    devices = sorted({record["device"] for record in records if "device" in record})
    if len(devices) > 1:
        yield f"records of several devices, whose seconds differ: {', '.join(devices)}"
    changed = dict.fromkeys(
        row.name
        for place in places
        for row in place.rows
        if len({str(record.get("code")) for record in row.runs.values()}) > 1
    )
    if changed:
        yield f"runs of different code: {', '.join(changed)}"
    if twice := sum(place.twice for place in places):
        what = "record is of a network" if twice == 1 else "records are of networks"
        yield f"{twice} {what} that another record is of: each network counts once"
