"""How the rows of audits look in pictures: a colour, a mark and dashes each, and their labels in legends."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from junlearn.reports.audit_cells import Row, label
from junlearn.reports.style import DASHES, INK, MARKERS, MIDDLE, OKABE_ITO, caption

__all__ = [
    "Example",
    "Examples",
    "Style",
    "example_of",
    "styles",
    "wrapped",
]

Example = Mapping[str, NDArray[Any]]
"""Arrays of a row's examples, as its file holds them."""
Examples = Mapping[str, Example]
"""Those of several rows, by their labels."""

WIDEST = 26
"""Characters in a line of a legend; longer labels are broken."""


class Style(NamedTuple):
    """How a row is drawn in all pictures."""

    color: str
    marker: str
    dashes: Any


def styles(rows: Sequence[Row]) -> list[Style]:
    """A style for every row; no two among the first 24 methods are alike."""
    found = []
    number = 0
    for row in rows:
        if row["role"] in ("original", "twin"):
            first = row["role"] == "original"
            found.append(Style(INK, "*", "-") if first else Style(MIDDLE, "d", (0, (3, 2))))
            continue
        dashes = DASHES[number // len(OKABE_ITO) % len(DASHES)]
        marker = MARKERS[number % len(MARKERS)]
        found.append(Style(OKABE_ITO[number % len(OKABE_ITO)], marker, dashes))
        number += 1
    return found


def example_of(row: Row, examples: Examples) -> Example:
    """The arrays of a row's examples; nothing where there are none."""
    return examples.get(row["method"], {})


def wrapped(row: Row) -> str:
    """The label of a row in lines of a legend, broken after spaces and signs where it can be."""
    lines = [""]
    for part in re.split(r"(?<=[\s_/.:,-])", caption(label(row))):
        for piece in textwrap.wrap(part, WIDEST, drop_whitespace=False):
            if len(lines[-1]) + len(piece) > WIDEST and lines[-1]:
                lines.append("")
            lines[-1] += piece
    return "\n".join(lines)
