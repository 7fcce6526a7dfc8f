"""A table in every form: what is in a cell is shown, and commands nothing."""

import csv
import io
from xml.etree import ElementTree

import pytest

from junlearn.text.grids import FORMATS, Cell, Grid, together, written

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
    assert len(rule) == max(map(len, lines[2:6])) and len(head) == len(rule) - 2
    assert first.endswith("1.0 ± 0.2 *") and second.endswith("2.0 .")
    plain = GRID._replace(rows=(*GRID.rows, (Cell("c"), Cell("3.0"))))
    places = [line.rindex(".0") for line in written(plain, "text").splitlines()[5:7]]
    assert places[0] == places[1]


def test_html_is_well_formed_and_says_what_was_given():
    table = ElementTree.fromstring(f"<div>{written(GRID, 'html')}</div>")
    cells = ["".join(cell.itertext()) for cell in table.iter("td")]
    assert cells == [NASTY.replace("\\", "\\"), "1.0 ± 0.2", "ssd", "2.0"]
    assert [cell.text for cell in table.iter("strong")] == ["1.0 ± 0.2"]


def test_csv_gives_the_cells_back_and_no_formula():
    grid = GRID._replace(rows=((Cell("=1+1"), Cell("-0.5")), (Cell("-"), Cell("-1+cmd|x"))))
    rows = list(csv.reader(io.StringIO(written(grid, "csv"))))
    assert rows == [["method", "gap ↓"], ["'=1+1", "-0.5"], ["-", "'-1+cmd|x"]]


def test_latex_escapes_its_own_signs():
    text = written(GRID, "latex")
    assert (
        r"a\_b \& 50\% \$x\$ \{y\} \textbackslash{}z \textless{}b\textgreater{} \textbar{} `c`"
        in text
    )
    assert r"\textbf{1.0 $\pm$ 0.2}" in text and r"\begin{tabular}{lr}" in text
    assert r"\caption{50\% of \#1}" in text


def test_markdown_escapes_its_own_signs():
    text = written(GRID, "markdown")
    assert r"a\_b & 50% \$x\$ {y} \\z \<b\> \| \`c\` \*d\*" in text
    assert "**1.0 ± 0.2**" in text
    assert written(GRID._replace(notes=("a", "b")), "markdown").endswith("|\n\na\n\nb\n")


GROUPED = Grid(
    ("method", "retain\ntest", "MIA", "s"),
    tuple(tuple(map(Cell, ("abc"[i], "98.5", "0.1", "2"))) for i in range(3)),
    groups=(("", 1), ("accuracy & more", 2), ("", 1)),
    rules=(1,),
)


def test_groups_of_headings_and_lines_between_rows():
    lines = written(GROUPED, "text").splitlines()
    assert lines[0].strip() == "- accuracy & more -" and lines[1].split() == ["retain"]
    assert lines[2].split() == ["method", "test", "MIA", "s"] and lines[3] == lines[5]
    start = lines[0].index("accuracy")
    assert lines[3][start - 2 : start + 16].count(" ") == 2
    latex = written(GROUPED, "latex")
    assert r"\multicolumn{1}{c}{} & \multicolumn{2}{c}{accuracy \& more} & " in latex
    assert latex.count(r"\cmidrule(lr){2-3}") == 1 == latex.count(r"\cmidrule")
    assert r"method & \shortstack{retain \\ test} & MIA & s \\" in latex
    assert latex.count(r"\midrule") == 2
    page = ElementTree.fromstring(written(GROUPED, "html"))
    assert [head.get("colspan") for head in page.iter("th")][:3] == ["1", "2", "1"]
    assert sum("border" in row.get("style", "") for row in page.iter("tr")) == 1
    assert "| method | accuracy & more: retain test | accuracy & more: MIA | s |" in written(
        GROUPED, "markdown"
    )
    assert written(GROUPED, "csv").startswith("method,retain test,MIA,s\n")


def test_grids_stand_below_one_another():
    assert together([GRID, GRID], "text") == written(GRID, "text") + "\n" + written(GRID, "text")
