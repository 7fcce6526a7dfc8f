"""What stands where in the reports of an audit: the cells of a row, and how numbers are written.

A row is one line of `audit.jsonl`. The table on the terminal and the page are made from the same cells.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "Cell",
    "Column",
    "Row",
    "cell",
    "chance",
    "digits",
    "label",
    "methods_first",
    "networks",
    "of",
    "ordered",
    "outside",
    "ratio",
    "tone",
]

Row = Mapping[str, Any]

ABSENT = "-"
ROLES = {"original": "Original", "twin": "Twin"}
JUDGED = {"original": "original", "twin": "twin", "unlearn": "unlearned"}
"""Which ensemble a row of a role judges."""


class Column(NamedTuple):
    """A column of the table of an audit."""

    heading: str
    meaning: str
    """In plain words, for somebody who has read one paper."""
    text: Callable[[Row], str | None]
    band: str = ""
    """The metric whose null band says whether the cell is out of the ordinary."""


class Cell(NamedTuple):
    """What stands in a row under a column."""

    text: str
    outside: bool
    """The value lies outside the band of a perfect unlearner."""


def label(row: Row) -> str:
    """The method's label, or what the ensemble is that the row judges."""
    return ROLES.get(row["role"]) or str(row["method"])


def ordered(rows: Sequence[Row]) -> list[Row]:
    """The original networks first, then the twin, then the methods in their order."""
    places = {"original": 0, "twin": 1}
    return sorted(rows, key=lambda row: places.get(row["role"], 2))


def methods_first(rows: Sequence[Row]) -> list[Row]:
    """The methods in their order, and then what they are compared with."""
    return sorted(rows, key=lambda row: row["role"] != "unlearn")


def networks(row: Row) -> int | None:
    """Networks on the smaller side of the comparison; of design "random", runs. None where no number is recorded."""
    counts = row.get("models", {})
    if row["design"] == "random":
        return counts.get("run")
    sides = [counts.get(JUDGED[row["role"]]), counts.get("retrain")]
    return min((n for n in sides if n is not None), default=None)


def outside(row: Row, metric: str) -> bool:
    """Whether the value of `metric` lies outside its null band; False where one of the two is absent."""
    value, null = row["values"].get(metric), row.get("null", {}).get(metric)
    return value is not None and null is not None and not null["low"] <= value <= null["high"]


def cell(row: Row, column: Column) -> Cell:
    """The cell of a row under a column; "-" for an absent value."""
    text = column.text(row)
    return Cell(ABSENT, False) if text is None else Cell(text, outside(row, column.band))


def tone(verdict: str) -> str:
    """The kind of a verdict, from its first word: told (apart), alike, closer, or none."""
    kinds = {"distinguishable": "told", "indistinguishable": "alike", "closer": "closer"}
    return next((kind for word, kind in kinds.items() if verdict.startswith(word)), "none")


def digits(digits: int, sign: str = "") -> Callable[[float], str]:
    """How a number is written with so many digits; "+" as sign writes both signs."""
    return lambda value: f"{value:{sign}.{digits}f}"


def ratio(logarithm: float) -> str:
    """A ratio, from its logarithm."""
    return f"{math.exp(logarithm):.2f}"


def chance(p: float) -> str:
    """A p value with three digits; one that would be rounded to nothing says so."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def of(group: str, name: str, form: Callable[[float], str]) -> Callable[[Row], str | None]:
    """How the entry `name` of a group of a row, such as "values" or "p", is written; None where it is absent."""

    def text(row: Row) -> str | None:
        value = row.get(group, {}).get(name)
        return None if value is None else form(value)

    return text
