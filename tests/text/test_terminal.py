"""Names from outside are shown as they are: on the terminal, in pictures and in tables they command nothing."""

import io

import pytest
from matplotlib.figure import Figure

from junlearn.experiment.progress import Reporter
from junlearn.reports import style, tables
from junlearn.text import terminal

NAMES = [
    "\x1b[2J\x1b[1;31mred",
    "\x1b]8;;http://example.org\x07link\x1b]8;;\x07",
    "\x9b31mred",
    "over\rwritten",
    "back\b\bspace",
    "two\nlines",
    "bell\a",
    "gnp.\u202eexe",
    "\u2066isolated\u2069",
    "zero\u200bwidth",
    "byte\ufefforder",
    "line\u2028separator",
    "undecodable\udcff",
    "[bold]bold[/bold]",
    "[link=http://example.org]link[/link]",
    ":smile: [/] [red]",
    "[",
    "a\\[b",
]
LEGIBLE = ["Ünïcödé", "猫", "می\u200cخواهم", "👩\u200d🔬", "a b  c", "50 %, $5"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name, capsys):
    buffer = io.StringIO()
    reporter = Reporter(terminal.Terminal(file=buffer, width=200))
    reporter.say(name)
    shown = buffer.getvalue().removesuffix("\n")
    assert shown == terminal.printable(name)
    assert shown.isprintable() or set(shown) <= set(name)
    assert "\n" not in shown
    terminal.complain(name)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert not {"\x1b", "\x9b", "\r", "\b", "\u202e", "\u200b"} & set(error)


@pytest.mark.parametrize("name", LEGIBLE)
def test_names_that_do_nothing_are_not_changed(name):
    assert terminal.printable(name) == name


@pytest.mark.parametrize("name", ["\x1b[31mred", "[bold]x[/bold]", ":smile:"])
def test_a_console_takes_cells_and_titles_as_they_are(name):
    from rich.table import Table

    buffer = io.StringIO()
    console = terminal.Terminal(file=buffer, width=100)
    grid = Table(name)
    grid.add_row(name)
    console.print(grid)
    assert buffer.getvalue().count(terminal.printable(name)) == 2
    assert "\x1b" not in buffer.getvalue()


@pytest.mark.parametrize("name", ["$", "$x^2$", r"\$", r"$\frac$", "[bold]", "\x1b[31m"])
def test_a_picture_takes_its_titles_as_they_are(name, tmp_path):
    figure = Figure()
    title = figure.suptitle(style.caption(name))
    style.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    text, is_formula = title._preprocess_math(title.get_text())
    assert not is_formula
    assert text.count("$") == name.count("$")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_in_a_table_computes_nothing(text, tmp_path):
    tables.write_rows([{"method": text, text: -0.5}], tmp_path / "t.csv")
    content = (tmp_path / "t.csv").read_bytes().decode()
    assert content.count(f"'{text[:2]}") == 2
    assert ",-0.5" in content
