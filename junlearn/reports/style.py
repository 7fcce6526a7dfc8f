"""How all pictures look: colours, marks and dashes that are told apart without colour, captions and legends."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from junlearn.files import replacing
from junlearn.text.terminal import printable

__all__ = [
    "BAND",
    "DASHES",
    "INK",
    "MARKERS",
    "MIDDLE",
    "OKABE_ITO",
    "caption",
    "legend",
    "plain",
    "save",
]

INK, MIDDLE, BAND = "#1a1a1a", "#6e6e6e", "#d9d9d9"
"""Of lines and words; of the middle of a null; of its band."""
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that people with colour blindness tell apart, without the yellow, which is too pale, and the black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))


def caption(text: str) -> str:
    """`text` as a picture shows it, in which no `$` begins a formula."""
    return printable(text).replace("$", r"\$")


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


def save(figure: Figure, path: Path) -> None:
    """Write a picture as PNG in one step; a link in its place is replaced, not followed."""
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120, bbox_inches="tight")
