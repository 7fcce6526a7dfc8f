"""What a comparison shows: digits, marks, notes and columns, in every format, and as a data frame."""

import csv
import importlib.util
import io
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

import junlearn
from junlearn.commands.compare import content
from junlearn.comparison.cells import cell_of
from junlearn.errors import ConfigError
from junlearn.reports.columns import Column
from junlearn.reports.compared import compared
from junlearn.reports.comparison_grids import digits
from junlearn.text.grids import FORMATS
from tests.comparison.made import record, runs

PERCENT = Column("accuracy/test", "test", 100, 2)


def test_three_runs_of_three_methods_as_text():
    assert (
        compared(runs(), columns=["retain test", "MIA", "gap"]).table()
        == """\
digits, mlp, scenario class

          - accuracy in % -
                   retain              MIA
method             test ↑          entr. →           gap ↓    runs
--------  -----------------  ---------------  --------------  ----
original       95.0 ± 0.0    0.900 ± 0.000    40.50 ± 1.73       3
retrain        92.0 ± 2.0    0.120 ± 0.020               -       3
--------  -----------------  ---------------  --------------  ----
poor           72.0 ± 2.0    0.620 ± 0.026    35.00 ± 0.50       3
good           91.0 ± 2.0 *  0.120 ± 0.020 *   1.17 ± 0.58 *     3
fair           90.3 ± 2.1 .  0.250 ± 0.050     7.33 ± 1.15       3

mean ± sample standard deviation over seed; *: the best of a column; .: not significantly worse than
it (paired t test over the runs, two-sided, Holm-corrected over the methods of the column, 5%)
→: the best is the nearest to the retrained network of the same run
gap: mean of |difference to the retrained network of the same run| over retain test, MIA entr., in
points of %
with 3 runs only large differences are found: a mark says little
"""
    )


@pytest.mark.parametrize(
    ("values", "column", "interval", "wanted"),
    [
        ([0.98, 0.983, 0.986], PERCENT, False, 2),  # ± 0.30
        ([0.90, 0.95, 0.99], PERCENT, False, 1),  # ± 4.5
        ([0.3, 0.6, 0.9], PERCENT, False, 0),  # ± 30
        ([0.9, 0.90001, 0.9], PERCENT, False, 2),
        ([0.98, 0.983, 0.986], PERCENT, True, 2),  # ± 0.75
        ([0.5], PERCENT, False, 2),
        ([0.2, 0.2003, 0.2006], Column("js", "JS"), False, 4),
        ([0.2, 0.2, 0.2], Column("js", "JS"), False, 3),
        ([1.0, 2.0, 3.0], Column("seconds", "seconds", digits=1), False, 1),
    ],
)
def test_digits_are_those_of_the_spread(values, column, interval, wanted):
    assert digits(column, [cell_of(values)], interval) == wanted


def test_digits_are_the_same_in_a_column_and_those_of_the_usual_row():
    cells = [cell_of([0.9, 0.91, 0.92]), cell_of([0.5, 0.6, 0.7]), cell_of([0.5, 0.502, 0.504])]
    assert digits(PERCENT, cells, False) == 1


def test_the_test_set_is_shown_in_two_parts_or_as_a_whole():
    """Examples of forgotten classes are in `test`, so that more of it would mean that more is remembered."""

    def headings(**values):
        rows = [record("ssd", seed, test=0.9, retain_test=0.9, **values) for seed in range(2)]
        found = compared(rows)
        assert "test ↑" in compared(rows, columns=["test"]).table()
        return [column.metric for column in found.columns]

    parts = ["accuracy/retain_test", "accuracy/forget_test"]
    assert headings(forget_test=0.1) == [*parts, "seconds"]
    assert headings() == ["accuracy/test", parts[0], "seconds"]


def test_marks_and_notes_in_words_of_each_format():
    found = compared(runs(), columns=["retain_test", "mia"])
    assert "*: the best of a column; .: not significantly" in found.table()
    latex = found.table("latex")
    assert r"\textbf{91.0 $\pm$ 2.0}" in latex and r"\underline{90.3 $\pm$ 2.1}" in latex
    assert "underlined: not significantly worse" in latex and r"5\%" in latex
    assert "_90.3 ± 2.1_" in found.table("markdown") and "in italics:" in found.table("html")
    assert "95 % Student interval over seed" in found.table(interval=True)
    assert "91.0 ± 5.0" in found.table(interval=True)
    with pytest.raises(ConfigError, match=r"unknown format 'tex'"):
        found.table("tex")


def test_notes_on_what_was_not_tested_and_on_few_runs():
    few = compared([r for r in runs() if r["seed"] < 2], columns=["mia"]).table()
    assert "nothing is tested against the best" in few and "with" not in few.splitlines()[-1]
    assert "with 3 runs only large differences are found" in compared(runs()).table()
    uneven = [r for r in runs() if (r["method"], r["seed"]) != ("poor", 2)]
    text = compared(uneven).table()
    assert "poor: not tested where the best has fewer than 3 runs in common" in text
    single = compared([r for r in runs() if r["seed"] == 0]).table()
    assert "one run a cell; *" in single and "±" not in single


def test_the_number_of_runs_stands_in_the_cell_where_metrics_have_different_ones():
    found = runs()
    del found[0]["metrics"]["mia/entropy"]
    text = compared(found, columns=["retain_test", "mia"]).table()
    (line,) = [line for line in text.splitlines() if line.startswith("poor ")]
    assert "72.0 ± 2.0 (3)" in line and "(2)" in line and line.endswith("2 to 3")
    assert "a number in brackets is how many runs a cell has" in text


def test_records_of_several_versions_devices_and_codes_are_noted():
    found = runs()
    found[0] |= {"versions": {"jax": "0.11.0"}, "device": "gpu x1", "code": {"network": "new"}}
    text = compared(found).table()
    assert "records of several versions: jax 0.10.2 and 0.11.0" in text
    assert "records of several devices, whose seconds differ: cpu x1, gpu x1" in text
    assert "runs of different code: poor" in text


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["retain test", "Retain_Test", "accuracy/retain_test"], ["accuracy/retain_test"]),
        (["MIA", "gap", "seconds"], ["mia/entropy", "gap", "seconds"]),
        (["MIA entr."], ["mia/entropy"]),
        (["accuracy/*"], ["accuracy/retain_test"]),
        (None, ["accuracy/retain_test", "mia/entropy", "gap", "seconds"]),
    ],
)
def test_columns(names, wanted):
    assert [column.metric for column in compared(runs(), columns=names).columns] == wanted


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["retain_tst"], r"unknown column 'retain_tst'; did you mean 'retain test'"),
        (["js/*"], r"no column matches 'js/\*'; there are accuracy/retain_test, mia/entropy"),
        ("gap", r"columns is 'gap': a list of names is wanted"),
    ],
)
def test_columns_that_are_not_there(names, message):
    with pytest.raises(ConfigError, match=message):
        compared(runs(), columns=names)


def test_a_metric_of_a_plug_in_is_shown_and_not_judged():
    found = runs()
    for each in found:
        each["metrics"]["mine/x"] = 0.5
        each["config"]["metrics"] = ["mine"]
    shown = compared(found)
    assert "mine/x" in [column.metric for column in shown.columns]
    assert {c.standing for (_, name), c in shown.tables[0].cells.items() if name == "mine/x"} == {
        ""
    }


def test_gaps_need_a_retrained_network():
    assert "gaps to the retrained network" in compared(runs(), gaps=True).table()
    methods = [r for r in runs() if r["role"] != "retrain"]
    assert [c.metric for c in compared(methods).columns][-1] == "seconds"
    with pytest.raises(ConfigError, match="no retrained network"):
        compared(methods, gaps=True)


def test_several_tables_end_with_ranks():
    found = compared([*runs((0,)), *runs((1,)), *runs((2,))], columns=["gap", "retain test"])
    text = found.table()
    assert "mean rank over 3 tables" in text and "Friedman p" in text
    rows = [line.split() for line in text.partition("mean rank")[2].splitlines()]
    assert ["good", "1.0", "*", "1.0", "*"] in rows and ["poor", "3.0", "3.0"] in rows


def test_a_narrow_terminal_gets_parts():
    wide = compared(runs())
    text = wide.table(width=60)
    assert max(len(line) for line in text.splitlines() if "±" in line and ":" not in line) <= 60
    assert text.count("method") > wide.table().count("method")
    assert content(wide, "latex").count(r"\begin{tabular}") == 1
    assert wide.table("latex", width=60).count(r"\begin{tabular}") == 2


def test_csv_has_the_numbers_as_they_are():
    rows = list(csv.DictReader(io.StringIO(compared(runs(), columns=["retain_test"]).table("csv"))))
    assert [row["method"] for row in rows] == ["original", "retrain", "poor", "good", "fair"]
    good = rows[3]
    assert float(good["mean"]) == pytest.approx(0.91) and float(good["std"]) == pytest.approx(0.02)
    half = 4.302653 * 0.02 / 3**0.5
    assert (float(good["low"]), float(good["high"])) == pytest.approx((0.91 - half, 0.91 + half))
    assert (good["runs"], good["standing"], good["p_holm"]) == ("3", "best", "")
    assert "e-" not in good["mean"] and float(rows[2]["p_holm"]) == 0.0


def test_html_is_well_formed_and_harmless():
    nasty = [r | {"dataset": "<script>&"} for r in runs()]
    text = content(compared(nasty), "html")
    page = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert "<script>" not in text and page.find(".//caption").text.startswith("<script>&, mlp")
    assert compared(nasty)._repr_html_() in text


def test_it_prints_short():
    assert repr(compared(runs())) == (
        "Comparison(poor, good, fair; runs a cell: 3, over seed; digits, mlp, scenario class; "
        ".table() shows it)"
    )


def test_in_python_a_frame_or_the_comparison(monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = junlearn.compare(runs(), columns=["retain_test", "gap"])
    assert isinstance(frame, pandas.DataFrame) and frame.index.names[-2:] == ["method", "role"]
    own = frame.xs("good", level="method").iloc[0]
    assert own["accuracy/retain_test", "mean"] == pytest.approx(0.91)
    assert own["gap", "standing"] == "best" and own["gap", "runs"] == 3
    assert frame["gap"].columns.tolist()[:5] == ["mean", "std", "low", "high", "runs"]
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pandas" else found(name)
    )
    assert "good" in junlearn.compare(runs()).table()
    with pytest.raises(ConfigError, match=r"pip install 'junlearn\[pandas\]'"):
        junlearn.compare(runs(), kind="pandas")
    with pytest.raises(ConfigError, match="unknown kind"):
        junlearn.compare(runs(), kind="frame")


def compiled(body, folder):
    """What LaTeX says of an article with this body."""
    (folder / "a.tex").write_text(
        "\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\usepackage{booktabs}\n"
        f"\\begin{{document}}\n{body}\\end{{document}}\n"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "a.pdf").stat().st_size > 10_000
    return done.stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path):
    found = compared([*runs((0,)), *[r | {"model": "a_b & 50% #1 ^~"} for r in runs((1,))]])
    compiled(found.table("latex") + found.table("latex", interval=True), tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("spread", [0.002, 0.02])
@pytest.mark.parametrize("method", ["ssd", "original", "scissorhands", "noisy_finetune"])
def test_latex_fits_onto_the_page_where_all_cells_are_bold(method, spread, tmp_path):
    values = ("entropy", "entropy_balanced_accuracy", "confidence")
    names = [
        "aus",
        "tow",
        "zrf/forget_train",
        "agreement/forget_train",
        *(f"mia/{v}" for v in values),
    ]
    rows = []
    for role, name in (("retrain", "retrain"), ("unlearn", method)):
        for seed in range(3):
            kept = dict.fromkeys(
                ("retain_train", "retain_test", "forget_test"), 0.9 + seed * spread
            )
            row = record(name, seed, role=role, js=0.1 + seed * spread, **kept)
            row["metrics"] |= dict.fromkeys(names, 0.5 + seed * spread)
            row["config"]["metrics"] = ["accuracy", "mia", "aus", "tow", "zrf", "agreement"]
            rows.append(row)
    text = content(compared(rows), "latex")
    assert text.count(r"\begin{tabular}") > 1
    assert "Overfull" not in compiled(text, tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_every_shape_of_records(form):
    for records in (runs(), [record("a", test=0.5)], [record("original", role="original")]):
        assert compared(records).table(form).endswith("\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"over": "seed"}, "over is 'seed': a list of names is wanted"),
        ({"over": None}, "over is None: a list of names is wanted"),
        ({"by": 3}, "by is 3: a list of names is wanted"),
        ({"columns": ["gap", 3]}, "a list of names is wanted"),
        ({"columns": []}, "columns is empty: there is nothing to show"),
    ],
)
@pytest.mark.parametrize("kind", ["comparison", "pandas"])
def test_mistakes_in_the_arguments(given, message, kind):
    with pytest.raises(ConfigError, match=message):
        junlearn.compare(runs(), kind=kind, **given)
