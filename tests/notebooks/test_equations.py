"""The page of equations quotes the package: each piece of code stands so in the file that is linked above it."""

import re
import textwrap

import pytest

from tests import pages
from tests.conftest import ROOT

PAGE = ROOT / "junlearn" / "notebooks" / "equations.md"
QUOTE = re.compile(r"\(\[`([^`]+)`\]\(([^)]+)\)\):\n\n```py\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUOTES = QUOTE.findall(PAGE.read_text(encoding="utf-8"))


def test_every_piece_of_code_is_a_quote():
    text = PAGE.read_text(encoding="utf-8")
    assert len(QUOTES) == text.count("```py\n") >= 9
    assert text.count("$$") % 2 == 0 and text.count("$$") >= 14


def written(text):
    """Without blank lines, which are the formatter's, and without the indentation of the whole."""
    return textwrap.dedent("\n".join(line for line in text.splitlines() if line.strip()))


@pytest.mark.parametrize(("name", "target", "code"), QUOTES, ids=lambda part: part.split("\n")[0])
def test_it_stands_so_in_the_file(name, target, code):
    file = (PAGE.parent / target).resolve()
    assert file == ROOT / "junlearn" / name
    quote = written(code)
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    size = len(quote.splitlines())
    assert quote in [written("\n".join(lines[start : start + size])) for start in range(len(lines))]


def test_quotes_are_on_this_page_alone():
    """Elsewhere a block of Python is run."""
    assert {block.page for block in pages.of("py")} == {PAGE.relative_to(ROOT).as_posix()}
