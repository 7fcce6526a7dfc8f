"""A table of words, written as a person, a page, a paper or a program reads it."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from junlearn.text.terminal import printable

__all__ = ["FORMATS", "Cell", "Grid", "inert", "together", "written"]

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
    """A line break in one is seen where headings can have several lines, and is a space elsewhere."""
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    """How many columns, from the first on, hold words."""
    title: str = ""
    notes: tuple[str, ...] = ()
    """Lines below it."""
    groups: tuple[tuple[str, int], ...] = ()
    """Headings above the headings, each with the number of its columns: they cover all columns, "" has nothing above
    it. CSV has none."""
    rules: tuple[int, ...] = ()
    """The numbers of rows that are followed by a line, from 1 on."""


def written(grid: Grid, form: str) -> str:
    """The grid in one of FORMATS, with a line break at its end."""
    return FORMATS[form](grid)


def together(grids: Sequence[Grid], form: str) -> str:
    """Several grids in one of FORMATS, one below the other."""
    return "\n".join(written(grid, form) for grid in grids)


def inert(value: Any) -> Any:
    """A cell for table software; text that it would take for a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _cell(text: str) -> str:
    """A cell of a grid for table software: its numbers are text here, and they are no formula."""
    try:
        float(text)
    except ValueError:
        return text if text == "-" else str(inert(text))
    return text


def _line(heading: str) -> str:
    """A heading on one line."""
    return printable(heading.replace("\n", " "))


def _text(grid: Grid) -> str:
    """Columns of one width each; a star behind the best, a dot behind what is not told from it."""
    several = [[printable(part) for part in heading.split("\n")] for heading in grid.headings]
    deep = max(map(len, several), default=1)
    heads = list(zip(*([""] * (deep - len(parts)) + parts for parts in several), strict=True))
    emphasised = [
        any(c.strong or c.marked for c in column) for column in zip(*grid.rows, strict=True)
    ]
    emphasised = emphasised or [False] * len(grid.headings)
    cells = [
        [
            printable(cell.text)
            + (" *" if cell.strong else " ." if cell.marked else "  " if room else "")
            for cell, room in zip(row, emphasised, strict=True)
        ]
        for row in grid.rows
    ]
    # A heading ends where the numbers below it end, not where their marks do.
    above = [[w + "  " * e for w, e in zip(line, emphasised, strict=True)] for line in heads]
    widths = [max(map(len, column)) for column in zip(*above, *cells, strict=True)]
    spans, groups = list(_spans(grid)), []
    for title, first, last in spans:
        # The last column of a group takes what its title needs beyond the columns.
        needed = len(f"- {printable(title)} -") - (sum(widths[first:last]) + 2 * (last - first - 1))
        widths[last - 1] += max(0, needed) if title else 0
    for title, first, last in spans:
        width = sum(widths[first:last]) + 2 * (last - first - 1)
        groups.append(f" {printable(title)} ".center(width, "-") if title else " " * width)

    def padded(line: Sequence[str]) -> str:
        return "  ".join(
            word.ljust(width) if place < grid.words else word.rjust(width)
            for place, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()

    rule = "  ".join("-" * width for width in widths)
    shown = [*(["  ".join(groups).rstrip()] if groups else []), *map(padded, above), rule]
    for number, row in enumerate(cells, start=1):
        shown += [padded(row), *([rule] if number in grid.rules and number < len(cells) else [])]
    top = [printable(grid.title), ""] if grid.title else []
    notes = ["", *map(printable, grid.notes)] if grid.notes else []
    return "\n".join([*top, *shown, *notes]) + "\n"


def _spans(grid: Grid) -> Iterator[tuple[str, int, int]]:
    """The title of each group, its first column and that behind its last."""
    place = 0
    for title, count in grid.groups:
        yield title, place, place + count
        place += count


def _markdown(grid: Grid) -> str:
    def word(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|$])", r"\\\1", printable(text))

    def cell(each: Cell) -> str:
        text = word(each.text)
        return f"**{text}**" if each.strong else f"_{text}_" if each.marked else text

    rule = ["---" if place < grid.words else "--:" for place in range(len(grid.headings))]
    # No cell of Markdown spans several columns: the title of a group stands in each of its own.
    above = [title for title, first, last in _spans(grid) for _ in range(first, last)]
    heads = [_line(heading) for heading in grid.headings]
    if above:
        heads = [
            f"{title}: {head}" if title else head for title, head in zip(above, heads, strict=True)
        ]
    lines = [[word(text) for text in heads], rule]
    lines += [[cell(each) for each in row] for row in grid.rows]
    top = [f"**{word(grid.title)}**", ""] if grid.title else []
    # Each in a paragraph: lines of one would be joined.
    notes = [part for note in grid.notes for part in ("", word(note))]
    return "\n".join([*top, *(f"| {' | '.join(line)} |" for line in lines), *notes]) + "\n"


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
    "|": r"\textbar{}",
}
"""Signs that LaTeX reads as commands, or that its fonts lack."""


WIDE = 4
"""A table of LaTeX with more columns is set narrower."""


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

    def heading(text: str) -> str:
        parts = [word(part) for part in text.split("\n")]
        lines = r" \\ ".join(parts)
        return parts[0] if len(parts) == 1 else rf"\shortstack{{{lines}}}"

    columns = "l" * grid.words + "r" * (len(grid.headings) - grid.words)
    lines = [r"\begin{table}", r"\centering"]
    if len(grid.headings) > WIDE:
        lines.append(r"\small\setlength{\tabcolsep}{3pt}")
    if grid.title:
        lines.append(rf"\caption{{{word(grid.title)}}}")
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    if grid.groups:
        spans = list(_spans(grid))
        above = [rf"\multicolumn{{{b - a}}}{{c}}{{{word(title)}}}" for title, a, b in spans]
        lines.append(" & ".join(above) + r" \\")
        lines += [rf"\cmidrule(lr){{{a + 1}-{b}}}" for title, a, b in spans if title]
    lines += [" & ".join(map(heading, grid.headings)) + r" \\", r"\midrule"]
    for number, row in enumerate(grid.rows, start=1):
        lines.append(" & ".join(map(cell, row)) + r" \\")
        lines += [r"\midrule"] if number in grid.rules and number < len(grid.rows) else []
    lines += [r"\bottomrule", r"\end{tabular}"]
    if grid.notes:
        lines += [r"\par\smallskip\footnotesize", r"\\ ".join(map(word, grid.notes))]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _csv(grid: Grid) -> str:
    """Cells as they are; text that table software would take for a formula gets an apostrophe in front."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(inert(heading.replace("\n", " ")) for heading in grid.headings)
    writer.writerows([_cell(cell.text) for cell in row] for row in grid.rows)
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
    above = [
        Markup('<th colspan="{}" style="text-align:center">{}</th>').format(b - a, printable(title))
        for title, a, b in _spans(grid)
    ]
    heads = [Markup("<th>{}</th>").format(_broken(heading)) for heading in grid.headings]
    levels = [
        Markup("<tr>{}</tr>").format(Markup("").join(level)) for level in (above, heads) if level
    ]
    parts.append(Markup("<thead>{}</thead>").format(Markup("").join(levels)))
    rows = [
        Markup("<tr{}>{}</tr>").format(
            Markup(' style="border-bottom:1px solid"') if number in grid.rules else "",
            Markup("").join(cell(c, i) for i, c in enumerate(row)),
        )
        for number, row in enumerate(grid.rows, start=1)
    ]
    parts += [Markup("<tbody>{}</tbody>").format(Markup("\n").join(rows)), Markup("</table>")]
    if grid.notes:
        parts.append(Markup("<p>{}</p>").format(Markup("<br/>").join(map(printable, grid.notes))))
    return str(Markup("\n").join(parts)) + "\n"


def _broken(heading: str) -> Markup:
    """A heading on its lines."""
    return Markup("<br/>").join(map(printable, heading.split("\n")))


FORMATS: dict[str, Callable[[Grid], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "html": _html,
}
