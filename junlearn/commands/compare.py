"""Methods beside one another over many runs, as a table for a terminal, a page, a paper or a program."""

import sys
from pathlib import Path
from typing import Any

from junlearn.commands.arguments import PROGRAM, Parser, path, text
from junlearn.errors import ConfigError
from junlearn.text.grids import FORMATS

__all__ = ["command", "content", "parser"]

SUFFIXES = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".htm": "html",
    ".html": "html",
}
"""Which format the end of a file's name stands for."""
PAGE = 80
"""Characters, as text counts them, that fit onto the width of a page of LaTeX, also where the best are bold."""


def parser() -> Parser:
    """The arguments of `compare`."""
    parser = Parser(
        prog=f"{PROGRAM} compare",
        description="Means over runs, with deviations or intervals; the best of each column, and what is\n"
        "not significantly worse than it; the gap to the retrained network; ranks where\n"
        "there are several datasets, models or scenarios. It reads records and trains nothing.",
        epilog=f"""examples:
  {PROGRAM} compare runs/digits_class_seeds
  {PROGRAM} compare runs/a runs/b --over seed scenario.classes --interval
  {PROGRAM} compare runs/* --columns "retain test" MIA gap seconds
  {PROGRAM} compare runs/a --gap --columns "accuracy/*" --format latex
  {PROGRAM} compare runs/a --output all.csv

Runs that differ in a setting are not averaged, unless it is named: --over takes means
over it, --by keeps its values apart. What the numbers are: junlearn/comparison/README.md""",
    )
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        type=path,
        metavar="RUN",
        help="the working directory of a run or of a sweep, or a records.jsonl",
    )
    add(
        "--over",
        nargs="+",
        type=text,
        metavar="NAME",
        help="settings that means are taken over, such as seed scenario.classes (default: seed)",
    )
    add(
        "--by",
        nargs="+",
        type=text,
        default=[],
        metavar="NAME",
        help="settings whose values are kept apart, such as train.epochs or method.ssd.alpha",
    )
    add(
        "--columns",
        nargs="+",
        type=text,
        metavar="NAME",
        help='metrics (accuracy/retain_test), headings ("retain test", MIA), seconds, gap, '
        'patterns ("accuracy/*"); default: those of the table of a run',
    )
    add(
        "--format",
        choices=tuple(FORMATS),
        help="default: what the name of the --output ends in (.txt .md .tex .csv .html), else text",
    )
    add("--output", type=path, metavar="FILE", help="write it there and do not print it")
    spread = parser.add_mutually_exclusive_group()
    spread.add_argument(
        "--interval", action="store_true", help="± is half the 95%% Student interval of the mean"
    )
    spread.add_argument(
        "--deviation", action="store_true", help="± is the sample standard deviation (default)"
    )
    add(
        "--gap",
        action="store_true",
        help="show of every metric how far it is from that of the retrained network of the same run",
    )
    return parser


def command(arguments: list[str]) -> int:
    """Print a comparison, or write it to a file; returns the exit status."""
    from junlearn.commands import places

    options = parser().parse_args(arguments)
    if options.output is not None:
        places.check_file("--output", options.output)
    form = _form(options.format, options.output)
    from junlearn.files import replace
    from junlearn.reports.compared import compared
    from junlearn.text.terminal import Terminal, complain, printable

    console = Terminal()
    over = options.over or ["seed"] * ("seed" not in options.by)
    found = compared(
        options.runs, over=over, by=options.by, columns=options.columns, gaps=options.gap
    )
    whole = options.columns is not None
    if form == "csv":
        # Other formats say it below the tables.
        for remark in found.remarks:
            complain(remark)
    if options.output is not None:
        replace(options.output, content(found, form, options.interval, whole))
        console.print(f"written: {printable(options.output)}", soft_wrap=True)
        return 0
    # Lines that are too long for a terminal cannot be read there; a file or a program takes them as they are.
    width = console.width if console.is_terminal else None
    if form == "text":
        sys.stdout.write(found.table("text", interval=options.interval, width=width))
    else:
        sys.stdout.write(content(found, form, options.interval, whole))
    return 0


def _form(asked: str | None, output: Path | None) -> str:
    """The format that is asked for, or that of the file's name. Raises ConfigError where they are two."""
    suffix = "" if output is None else output.suffix.lower()
    named = SUFFIXES.get(suffix)
    if asked is not None and named not in (None, asked):
        raise ConfigError(
            f"compare: --format {asked} and --output *{suffix}, which is {named}: leave --format out, or give the file "
            "another name"
        )
    return asked or named or "text"


def content(found: Any, form: str, interval: bool = False, whole: bool = False) -> str:
    """A comparison as a file of this format: of HTML a whole page, in which every browser finds the signs.

    A table of LaTeX is split so that it fits onto a page, unless it is to be `whole`.
    """
    width = PAGE if form == "latex" and not whole else None
    table: str = found.table(form, interval=interval, width=width)
    if form != "html":
        return table
    head = '<meta charset="utf-8"/><title>comparison</title>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{table}</body></html>\n'
