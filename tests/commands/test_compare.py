"""`compare`: what it prints and writes, and what it says to mistakes."""

import pytest

import junlearn
from junlearn.experiment import records as log
from tests.comparison.made import record, runs
from tests.small_run import call


@pytest.fixture
def directory(place):
    for name, classes in (("a", (0,)), ("b", (1,))):
        for number, each in enumerate(runs(classes)):
            file = place / "runs" / name / "points" / f"p{number % 3}" / "records.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            log.append(file, each)
    return place


def test_it_prints_or_writes(directory, capsys):
    status, out, err = call(capsys, "compare", "runs/a")
    assert (status, err) == (0, "") and "good" in out and "91.0 ± 2.0 *" in out
    both = ("compare", "runs/a", "runs/b", "--over", "seed", "scenario.classes")
    status, out, err = call(capsys, *both, "--interval", "--columns", "retain test", "gap")
    assert (status, err) == (0, "") and "Student" in out and " 6\n" in out and "MIA\n" not in out
    status, out, err = call(capsys, *both, "--format", "html", "--output", "page.html")
    assert (status, err) == (0, "") and out == "written: page.html\n"
    page = (directory / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and 'charset="utf-8"' in page
    status, out, _ = call(capsys, "compare", "runs/a", "--gap", "--by", "seed")
    assert status == 0 and out.count("gaps to the retrained network") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "compare: the following arguments are required: RUN"),
        (["runs"], "there are no records in it; the runs in it are runs/a, runs/b"),
        (["runs/c"], "there is no such directory or file"),
        (["runs/a", "--over", "sead"], "unknown setting 'sead'; did you mean 'seed'"),
        (["runs/a", "--over", "scenario.classes"], "seed is 0 in runs/a/points/p0 and 1 in"),
        (["runs/a", "--columns", "mya"], "unknown column 'mya'; did you mean 'mia'"),
        (["runs/a", "--format", "tex"], "invalid choice: 'tex'"),
        (["runs/a", "--interval", "--deviation"], "not allowed with argument"),
        (["runs/a", "--output", "no/x.tex"], "the folder no does not exist"),
        (
            ["runs/a", "--format", "latex", "--output", "x.csv"],
            "compare: --format latex and --output *.csv, which is csv: leave --format out",
        ),
        (["runs/a", "--colums", "gap"], "did you mean '--columns'"),
    ],
)
def test_mistakes_are_one_line(directory, capsys, arguments, message):
    status, out, err = call(capsys, "compare", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1) and message in err


@pytest.mark.parametrize(
    ("name", "message"), [("audit.jsonl", "it is of an audit"), ("trials.csv", "it is of a search")]
)
def test_directories_of_other_commands_are_named(place, capsys, name, message):
    (place / name).write_text("{}\n", encoding="utf-8")
    for given in (".", name):
        status, _, err = call(capsys, "compare", given)
        assert status == 2 and err.count("\n") == 1 and message in err


def test_damaged_records_are_named_where_a_table_has_no_notes(directory, capsys):
    file = next((directory / "runs" / "a").glob("points/*/records.jsonl"))
    file.write_text(file.read_text(encoding="utf-8").replace("good", "goof"), encoding="utf-8")
    _, out, err = call(capsys, "compare", "runs/a")
    assert "is left out" in out and err == ""
    status, out, err = call(capsys, "compare", "runs/a", "--format", "csv")
    assert status == 0 and "left out" not in out
    assert err.startswith("junlearn: ") and "is left out" in err and err.count("\n") == 1
    pytest.importorskip("pandas")
    with pytest.warns(UserWarning, match="is left out"):
        junlearn.compare("runs/a", kind="pandas")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("t.tex", "\\begin{table"),
        ("t.CSV", "dataset,"),
        ("t.md", "**"),
        ("t.html", "<!DOCTYPE"),
        ("t", "digits"),
    ],
)
def test_the_name_of_the_file_says_the_format(directory, capsys, name, start):
    assert call(capsys, "compare", "runs/a", "--output", name)[0] == 0
    assert start in (directory / name).read_text(encoding="utf-8").splitlines()[0]


def test_a_setting_that_differs_is_named(directory, capsys):
    other = directory / "runs" / "other" / "records.jsonl"
    other.parent.mkdir()
    log.append(other, record("good", 7, settings={"alpha": 5.0}, retain_test=0.5))
    status, _, err = call(capsys, "compare", "runs/a", "runs/other")
    assert status == 2 and "good: alpha is 1.0 in runs/a/points/p0 and 5.0 in runs/other" in err
    status, out, _ = call(capsys, *("compare", "runs/a", "runs/other", "--by", "method.good.alpha"))
    assert status == 0 and "good (alpha 1.0)" in out and "good (alpha 5.0)" in out
