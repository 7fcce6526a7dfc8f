"""How the pictures of audits look: colours, marks and dashes that are told apart without colour, and legends."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from junlearn.reports.audit_cells import Row, label
from junlearn.reports.plots import caption

__all__ = [
    "BAND",
    "INK",
    "MIDDLE",
    "OKABE_ITO",
    "Example",
    "Examples",
    "Style",
    "example_of",
    "legend",
    "plain",
    "styles",
    "wrapped",
]

Example = Mapping[str, NDArray[Any]]
"""Arrays of a row's examples, as its file holds them."""
Examples = Mapping[str, Example]
"""Those of several rows, by their labels."""

INK, MIDDLE, BAND = "#1a1a1a", "#6e6e6e", "#d9d9d9"
"""Of lines and words; of the middle of a null; of its band."""
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that people with colour blindness tell apart, without the yellow, which is too pale, and the black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
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


def plain(axis: Axes) -> None:
    """Take the frame away at the top and at the right, and put a pale grid behind what is drawn."""
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.grid(color=BAND, lw=0.4)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize="small")


def legend(figure: Figure, handles: Iterable[Artist]) -> None:
    """A legend right of all axes, in as many columns as the height needs."""
    shown = list(handles)
    height = 0.16 * sum(1 + str(handle.get_label()).count("\n") for handle in shown)
    columns = max(1, round(height / (0.9 * figure.get_figheight()) + 0.49))
    figure.legend(
        handles=shown, loc="outside right upper", fontsize="small", frameon=False, ncols=columns
    )
