"""Text at the width of the terminal (80 columns on a pipe), with what is set in columns left as it is."""

import shutil
import textwrap

__all__ = ["entry", "rewrapped"]

NARROWEST, WIDEST = 40, 100
"""Columns between which text stays readable; single lines of a list may be as long as the terminal is wide."""


def entry(head: str, text: str, indent: int | None = None) -> str:
    """`head` and `text` behind it; further lines begin under the text, or `indent` columns in."""
    space = " " * (len(head) if indent is None else indent)
    width = max(NARROWEST, _columns())
    return _wrapped(" ".join(text.split()), width, head, space)


def rewrapped(text: str) -> list[str]:
    """The lines of a docstring: paragraphs filled anew, indented lines (equations, tables) as they are or cut over."""
    width = min(max(NARROWEST, _columns()), WIDEST)
    lines: list[str] = []
    paragraph: list[str] = []

    def close() -> None:
        if paragraph:
            bullet = "  " if paragraph[0].startswith("* ") else ""
            lines.extend(_wrapped(" ".join(paragraph), width, "", bullet).splitlines())
            paragraph.clear()

    for line in text.splitlines():
        continues = bool(paragraph) and paragraph[0].startswith("* ") and line.startswith("  ")
        if continues or (line.strip() and not line.startswith((" ", "* "))):
            paragraph.append(line.strip())
            continue
        close()
        if line.startswith("* "):
            paragraph.append(line.strip())
        else:
            lines += _cut_over(line, width)
    close()
    return lines


def _cut_over(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line.rstrip()]
    space = " " * (len(line) - len(line.lstrip()) + 4)
    return _wrapped(line.strip(), width, space[4:], space).splitlines()


def _wrapped(text: str, width: int, head: str, space: str) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=head,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns() -> int:
    return shutil.get_terminal_size((80, 24)).columns
