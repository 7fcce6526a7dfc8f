"""How all pictures look: sizes for a paper, colours, marks and dashes that are told apart without colour, captions,
legends outside the data, and how they become files.
"""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from junlearn.files import replacing
from junlearn.text.terminal import printable

__all__ = [
    "BAND",
    "COLUMN",
    "DASHES",
    "FORMATS",
    "INK",
    "MIDDLE",
    "OKABE_ITO",
    "ORIGINAL",
    "PAGE",
    "RETRAINED",
    "SMALL",
    "TEXT",
    "TITLE",
    "Canvas",
    "Look",
    "balanced",
    "caption",
    "drawn",
    "headed",
    "legend",
    "legend_below",
    "look",
    "plain",
    "save",
    "with_bars",
    "wrapped",
]

FORMATS = ("png", "svg", "pdf")
"""What a picture can be written as."""
COLUMN, PAGE = 3.3, 6.8
"""Inches: as wide as a column of a paper, and as two."""
TITLE, TEXT, SMALL = 8.0, 7.0, 6.0
"""Points of letters; none are smaller."""
LINE = 0.155
"""Inches of a line of TEXT in a legend."""
WIDEST = 26
"""Characters in a line of a label; longer ones are broken."""
DOTS = 200
"""Dots of a PNG in an inch."""
INK, MIDDLE, BAND = "#1a1a1a", "#6e6e6e", "#d9d9d9"
"""Of lines and words; of the middle of a null; of its band."""
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that people with colour blindness tell apart, without the yellow, which is too pale, and the black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "8")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
SETTINGS: Any = {"svg.hashsalt": "junlearn", "svg.fonttype": "path", "pdf.fonttype": 42}
"""The same figure gives the same bytes, and looks alike whatever letters the reader's machine has."""
UNDATED: dict[str, Any] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
}


class Canvas(Figure):
    """A figure of so many inches that a notebook shows, also where pyplot was never imported."""

    def __init__(self, width: float = PAGE, height: float = 3.0) -> None:
        super().__init__(figsize=(width, height), layout="constrained")

    def _repr_png_(self) -> bytes:
        return drawn(self, "png")


class Look(NamedTuple):
    """How a network is drawn in all pictures."""

    color: str
    marker: str
    dashes: Any

    @property
    def line(self) -> dict[str, Any]:
        """Keywords of a line with marks."""
        wide = 1.8 if self is RETRAINED else 1.1
        return {"color": self.color, "marker": self.marker, "ls": self.dashes, "lw": wide, "ms": 4}

    @property
    def point(self) -> dict[str, Any]:
        """Keywords of a mark without a line."""
        size = 10 if self.marker == "*" else 5.5
        return {"color": self.color, "marker": self.marker, "ls": "", "ms": size}


ORIGINAL = Look(MIDDLE, "x", (0, (1, 1.2)))
RETRAINED = Look(INK, "*", (0, (5, 2)))
"""The networks that every run has: before, and what the others should look like."""


def look(number: int) -> Look:
    """The look of the method `number`, from 0 on: no two of the first 72 have colour and mark alike."""
    dashes = DASHES[number // len(OKABE_ITO) % len(DASHES)]
    marker = MARKERS[(number + number // len(MARKERS)) % len(MARKERS)]
    return Look(OKABE_ITO[number % len(OKABE_ITO)], marker, dashes)


def caption(text: str) -> str:
    """`text` as a picture shows it, in which no `$` begins a formula."""
    return printable(text).replace("$", r"\$")


def wrapped(text: str, widest: int = WIDEST) -> str:
    """`text` in lines of at most so many characters, broken after spaces and signs where it can be; all of it."""
    lines = [""]
    for part in re.split(r"(?<=[\s_/.:,-])", printable(text)):
        for piece in textwrap.wrap(part, widest, drop_whitespace=False):
            if len(lines[-1]) + len(piece.rstrip()) > widest and lines[-1]:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines).replace("$", r"\$")


def balanced(text: str, widest: int) -> str:
    """`text` in as few lines of at most so many characters as it needs, and these about equally long."""
    most = wrapped(text, widest).count("\n")
    tried = (wrapped(text, width) for width in range(max(1, len(text) // (most + 1)), widest + 1))
    return next(found for found in tried if found.count("\n") <= most)


def headed(figure: Figure, *parts: str, note: str = "") -> None:
    """Parts of a heading over all panels, in lines that the figure is wide enough for, and below it a `note`."""
    widest = int(14.5 * figure.get_figwidth())
    lines = [""]
    for part in filter(None, parts):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(printable(longer)) <= widest:
            lines[-1] = longer
        else:
            lines += wrapped(part, widest).replace(r"\$", "$").split("\n")
    text = "\n".join(caption(line) for line in filter(None, lines))
    if note:
        text += "\n" + balanced(note, widest)
    figure.set_figheight(figure.get_figheight() + LINE * text.count("\n"))
    figure.suptitle(text, fontsize=TITLE)


def plain(axis: Axes) -> None:
    """Take the frame away at the top and at the right, and put a pale grid behind what is drawn."""
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.grid(color=BAND, lw=0.4)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=TEXT)


def with_bars(
    axis: Axes, x: Any, y: Any, how: Mapping[str, Any], label: str, **bars: Any
) -> Line2D:
    """Draw a point or a line with bars (`xerr`, `yerr`), and return what stands for it in a legend."""
    drawn = axis.errorbar(x, y, capsize=2, elinewidth=0.9, **bars, **how)
    line: Line2D = drawn.lines[0]
    line.set_label(wrapped(label))
    return line


def legend(figure: Figure, handles: Iterable[Artist]) -> None:
    """A legend right of all axes, in as many columns as the height needs."""
    shown = list(handles)
    height = 0.16 * sum(1 + str(handle.get_label()).count("\n") for handle in shown)
    columns = max(1, round(height / (0.9 * figure.get_figheight()) + 0.49))
    figure.legend(
        handles=shown, loc="outside right upper", fontsize="small", frameon=False, ncols=columns
    )


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend below all axes, in as many columns as there is room for; the figure grows by it."""
    labels = [str(handle.get_label()).split("\n") for handle in handles]
    widest = max(len(line) for lines in labels for line in lines)
    columns = max(1, int(figure.get_figwidth() / (0.4 + 0.062 * widest)))
    columns = min(columns, len(handles))
    deep = math.ceil(len(handles) / columns) * max(map(len, labels))
    figure.set_figheight(figure.get_figheight() + LINE * deep + 0.1)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        fontsize=TEXT,
        frameon=False,
        borderaxespad=0.2,
        labelspacing=0.3,
        columnspacing=1.2,
        handlelength=2.2,
    )


def drawn(figure: Figure, kind: str = "png", dots: int = DOTS) -> bytes:
    """A picture as the bytes of a file of one of FORMATS, without a date: the same figure gives the same bytes."""
    with io.BytesIO() as file, warnings.catch_warnings(), matplotlib.rc_context(SETTINGS):
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=kind, dpi=dots, metadata=UNDATED[kind])
        return file.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write a picture in one step, as the suffix says; a link in its place is replaced, not followed."""
    content = drawn(figure, path.suffix[1:])
    with replacing(path) as file:
        file.write(content)
