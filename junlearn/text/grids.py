"""A table of words, written as a person, a page, a paper or a program reads it."""

import csv
import io
import re
from collections.abc import Callable
from typing import NamedTuple

from markupsafe import Markup, escape

from junlearn.text.terminal import printable

__all__ = ["FORMATS", "Cell", "Grid", "written"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How cells begin that table software computes."""


class Cell(NamedTuple):
    """What stands in one place of a grid."""

    text: str
    strong: bool = False
    """The best of its column."""
    marked: bool = False
    """Not told from the best."""


class Grid(NamedTuple):
    """Headings and rows of cells; words are at the left, all else at the right."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    """How many columns, from the first on, hold words."""
    title: str = ""
    notes: tuple[str, ...] = ()
    """Lines below it."""


def written(grid: Grid, form: str) -> str:
    """The grid in one of FORMATS, with a line break at its end."""
    return FORMATS[form](grid)


def _text(grid: Grid) -> str:
    """Columns of one width each; a star behind the best, a dot behind what is not told from it."""
    lines = [list(grid.headings)]
    lines += [
        [cell.text + (" *" if cell.strong else " ." if cell.marked else "") for cell in row]
        for row in grid.rows
    ]
    lines = [[printable(word) for word in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        "  ".join(
            word.ljust(width) if place < grid.words else word.rjust(width)
            for place, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = "  ".join("-" * width for width in widths)
    title = [printable(grid.title), ""] if grid.title else []
    notes = ["", *map(printable, grid.notes)] if grid.notes else []
    return "\n".join([*title, padded[0], rule, *padded[1:], *notes]) + "\n"


def _markdown(grid: Grid) -> str:
    def word(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|$])", r"\\\1", printable(text))

    def cell(each: Cell) -> str:
        text = word(each.text)
        return f"**{text}**" if each.strong else f"_{text}_" if each.marked else text

    rule = ["---" if place < grid.words else "--:" for place in range(len(grid.headings))]
    lines = [[word(text) for text in grid.headings], rule]
    lines += [[cell(each) for each in row] for row in grid.rows]
    title = [f"**{word(grid.title)}**", ""] if grid.title else []
    notes = ["", *map(word, grid.notes)] if grid.notes else []
    return "\n".join([*title, *(f"| {' | '.join(line)} |" for line in lines), *notes]) + "\n"


ESCAPES = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "−": r"$-$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
"""Signs that LaTeX reads as commands, or that its fonts lack."""


def _latex(grid: Grid) -> str:
    """A table of the package booktabs."""

    def word(text: str) -> str:
        return "".join(ESCAPES.get(sign, sign) for sign in printable(text))

    def cell(each: Cell) -> str:
        text = word(each.text)
        return (
            rf"\textbf{{{text}}}"
            if each.strong
            else rf"\underline{{{text}}}"
            if each.marked
            else text
        )

    columns = "l" * grid.words + "r" * (len(grid.headings) - grid.words)
    lines = [r"\begin{table}", r"\centering"]
    if grid.title:
        lines.append(rf"\caption{{{word(grid.title)}}}")
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [" & ".join(map(word, grid.headings)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(cell, row)) + r" \\" for row in grid.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if grid.notes:
        lines += [r"\par\smallskip\footnotesize", r"\\ ".join(map(word, grid.notes))]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _csv(grid: Grid) -> str:
    """Cells as they are; text that table software would take for a formula gets an apostrophe in front."""

    def inert(text: str) -> str:
        number = re.fullmatch(r"[-+]?\d.*", text)
        return f"'{text}" if text.startswith(FORMULA) and not number else text

    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(inert, grid.headings))
    writer.writerows([inert(cell.text) for cell in row] for row in grid.rows)
    return file.getvalue()


def _html(grid: Grid) -> str:
    """A part of a page: `<table>`, and a paragraph below it."""

    def cell(each: Cell, place: int) -> Markup:
        text = escape(printable(each.text))
        inside = (
            Markup("<strong>{}</strong>").format(text)
            if each.strong
            else Markup("<em>{}</em>").format(text)
            if each.marked
            else text
        )
        side = "left" if place < grid.words else "right"
        return Markup('<td style="text-align:{}">{}</td>').format(side, inside)

    parts = [Markup('<table class="junlearn">')]
    if grid.title:
        parts.append(Markup("<caption>{}</caption>").format(printable(grid.title)))
    heads = Markup("").join(Markup("<th>{}</th>").format(printable(h)) for h in grid.headings)
    parts.append(Markup("<thead><tr>{}</tr></thead>").format(heads))
    rows = [
        Markup("<tr>{}</tr>").format(Markup("").join(cell(c, i) for i, c in enumerate(row)))
        for row in grid.rows
    ]
    parts += [Markup("<tbody>{}</tbody>").format(Markup("\n").join(rows)), Markup("</table>")]
    if grid.notes:
        parts.append(Markup("<p>{}</p>").format(Markup("<br>").join(map(printable, grid.notes))))
    return str(Markup("\n").join(parts)) + "\n"


FORMATS: dict[str, Callable[[Grid], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "html": _html,
}
