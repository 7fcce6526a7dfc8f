"""How the rows of audits look in pictures: a colour, a mark and dashes each, and their labels in legends."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from junlearn.reports import style
from junlearn.reports.audit_cells import Row, label
from junlearn.reports.style import ORIGINAL, RETRAINED, Look, look

__all__ = [
    "Example",
    "Examples",
    "example_of",
    "styles",
    "wrapped",
]

Example = Mapping[str, NDArray[Any]]
"""Arrays of a row's examples, as its file holds them."""
Examples = Mapping[str, Example]
"""Those of several rows, by their labels."""


def styles(rows: Sequence[Row]) -> list[Look]:
    """A look for every row, that of the original and of retraining as in all pictures."""
    fixed = {"original": ORIGINAL, "twin": RETRAINED}
    found = []
    number = 0
    for row in rows:
        found.append(fixed.get(row["role"]) or look(number))
        number += row["role"] not in fixed
    return found


def example_of(row: Row, examples: Examples) -> Example:
    """The arrays of a row's examples; nothing where there are none."""
    return examples.get(row["method"], {})


def wrapped(row: Row) -> str:
    """The label of a row in lines of a legend."""
    return style.wrapped(label(row))
