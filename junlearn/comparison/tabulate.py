"""A table of numbers for each place, and ranks over them."""

from collections.abc import Sequence
from typing import NamedTuple

from junlearn.comparison.cells import Cell, Standing, cell_of
from junlearn.comparison.placing import Place, Row, Unit
from junlearn.comparison.ranks import Ranks, ranked
from junlearn.comparison.scores import GAP, SECONDS, better, gap_parts, number, score
from junlearn.comparison.significance import Contest, contest
from junlearn.experiment.records import Record

__all__ = ["Table", "available", "ranks_of", "tabulate"]


class Table(NamedTuple):
    """The numbers of one place."""

    place: Place
    parts: tuple[str, ...]
    """The quantities in the mean gap to the retrained network; empty where there is none."""
    cells: dict[tuple[str, str], Cell]
    """(name of a row, column) -> what stands there."""
    contests: dict[str, Contest]
    """Column -> who is best in it."""


def available(places: Sequence[Place]) -> list[str]:
    """Every metric that a record of these places has, in the order in which they have them."""
    names: dict[str, None] = {}
    for place in places:
        for row in place.rows:
            for record in row.runs.values():
                names |= dict.fromkeys(record["metrics"])
    return list(names)


def tabulate(place: Place, columns: Sequence[str], gaps: bool = False) -> Table:
    """The numbers of a place; with `gaps` every metric is its distance to the retrained network of the same run."""
    retrains = _retrains(place)
    every = [r for row in place.rows if row.role != "original" for r in row.runs.values()]
    parts = gap_parts(every) if retrains else ()
    cells: dict[tuple[str, str], Cell] = {}
    contests = {}
    for column in columns:
        scores: dict[str, dict[Unit, float]] = {}
        for row in place.rows:
            if row.role == "retrain" and (gaps or column == GAP) and column != SECONDS:
                continue
            values = {
                unit: value
                for unit, record in row.runs.items()
                if (value := number(record, column, _partner(unit, retrains), parts, gaps))
                is not None
            }
            if (cell := cell_of(values.values())) is None:
                continue
            cells[row.name, column] = cell
            if row.competes:
                scores[row.name] = _scores(row, column, retrains, parts, gaps)
        if better(column, gaps) is None:
            continue
        contests[column] = found = contest(scores)
        for name in found.means:
            standing: Standing = (
                "best" if name in found.best else "tied" if name in found.tied else ""
            )
            cells[name, column] = cells[name, column]._replace(
                standing=standing, p=found.p.get(name)
            )
    return Table(place, parts, cells, contests)


def _scores(
    row: Row, column: str, retrains: dict[Unit, Record], parts: Sequence[str], gaps: bool
) -> dict[Unit, float]:
    found = {
        unit: score(record, column, _partner(unit, retrains), parts, gaps)
        for unit, record in row.runs.items()
    }
    return {unit: value for unit, value in found.items() if value is not None}


def _retrains(place: Place) -> dict[Unit, Record]:
    """The retrained networks by their runs; which settings a method had is nothing to them."""
    return {
        _problem(unit): record
        for row in place.rows
        if row.role == "retrain"
        for unit, record in row.runs.items()
    }


def _partner(unit: Unit, retrains: dict[Unit, Record]) -> Record | None:
    return retrains.get(_problem(unit))


def _problem(unit: Unit) -> Unit:
    return tuple(part for part in unit if not part[0].startswith("method"))


def ranks_of(tables: Sequence[Table], columns: Sequence[str]) -> dict[str, Ranks]:
    """Column -> ranks over the tables that have it; empty of a single table."""
    found = {}
    for column in columns if len(tables) > 1 else ():
        scores = [table.contests[column].means for table in tables if column in table.contests]
        if len(scores) == len(tables) and all(scores) and (ranks := ranked(scores)).means:
            found[column] = ranks
    return found
