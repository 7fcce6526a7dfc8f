"""A table in every form: what is in a cell is shown, and commands nothing."""

import csv
import io
from xml.etree import ElementTree

import pytest

from junlearn.text.grids import FORMATS, Cell, Grid, written

NASTY = r"a_b & 50% $x$ {y} \z <b> | `c` *d*"
GRID = Grid(
    ("method", "gap ↓"),
    ((Cell(NASTY), Cell("1.0 ± 0.2", strong=True)), (Cell("ssd"), Cell("2.0", marked=True))),
    title="50% of #1",
    notes=("mean ± standard deviation",),
)


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_ends_with_a_line_break_and_has_every_number(form):
    text = written(GRID, form)
    assert text.endswith("\n") and "1.0" in text and "2.0" in text and "ssd" in text


def test_columns_of_text_are_of_one_width():
    lines = written(GRID, "text").splitlines()
    assert lines[0] == "50% of #1" and lines[-1] == "mean ± standard deviation"
    head, rule, first, second = lines[2:6]
    assert {len(head), len(rule)} == {max(map(len, lines[2:6]))}
    assert first.endswith("1.0 ± 0.2 *") and second.endswith("2.0 .")


def test_html_is_well_formed_and_says_what_was_given():
    table = ElementTree.fromstring(f"<div>{written(GRID, 'html')}</div>")
    cells = ["".join(cell.itertext()) for cell in table.iter("td")]
    assert cells == [NASTY.replace("\\", "\\"), "1.0 ± 0.2", "ssd", "2.0"]
    assert [cell.text for cell in table.iter("strong")] == ["1.0 ± 0.2"]


def test_csv_gives_the_cells_back_and_no_formula():
    grid = GRID._replace(rows=((Cell("=1+1"), Cell("-0.5")),))
    rows = list(csv.reader(io.StringIO(written(grid, "csv"))))
    assert rows == [["method", "gap ↓"], ["'=1+1", "-0.5"]]


def test_latex_escapes_its_own_signs():
    text = written(GRID, "latex")
    assert r"a\_b \& 50\% \$x\$ \{y\} \textbackslash{}z \textless{}b\textgreater{}" in text
    assert r"\textbf{1.0 $\pm$ 0.2}" in text and r"\begin{tabular}{lr}" in text
    assert r"\caption{50\% of \#1}" in text


def test_markdown_escapes_its_own_signs():
    text = written(GRID, "markdown")
    assert r"a\_b & 50% \$x\$ {y} \\z \<b\> \| \`c\` \*d\*" in text
    assert "**1.0 ± 0.2**" in text
