"""`audit` on the command line: its status, its lines, what it leaves, and what it does not do twice."""

import contextlib
import csv
import json
import shutil

import pytest

from junlearn import cli
from junlearn.audit import growth, request_design
from junlearn.main import main
from junlearn.reports import audit_page
from tests.tiny_audit import CONFIG, arguments, results


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    monkeypatch.setenv("COLUMNS", "100")
    # Its pictures take seconds.
    monkeypatch.setattr(
        audit_page, "write_page", lambda rows, examples, path, *rest: path.write_text("page")
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "keep_compilations", lambda cache_dir: None)
        assert main(arguments(place)) == 0
    return place


@pytest.fixture
def place(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def call(capsys, words):
    capsys.readouterr()
    status = 0
    try:
        status = main(words)
    except SystemExit as stop:
        status = stop.code or 0
    out, err = capsys.readouterr()
    return status, out, err


def one_line(capsys, words, *parts):
    status, _, err = call(capsys, words)
    assert status == 2 and err.count("\n") == 1 and err.startswith("junlearn: "), err
    for part in parts:
        assert part in err
    return err


def test_what_an_audit_leaves(whole):
    roles = [(row["role"], row["method"]) for row in results(whole)]
    assert roles == [("original", "original"), ("twin", "twin"), ("unlearn", "finetune")]
    assert sorted(p.name for p in (whole / "run").iterdir() if p.name != ".lock") == [
        "audit",
        "audit.html",
        "audit.jsonl",
        "config.json",
    ]
    row = json.loads((whole / "run" / "audit.jsonl").read_text().splitlines()[-1])
    assert (whole / "run" / row["examples_file"]).exists()
    assert (whole / "cache" / "banks" / row["bank_hash"] / "bank.json").exists()
    # A whole class: all of its examples are forgotten, and none of it is retained.
    assert row["examples"]["forget"] > 100 and row["scenario"] == "class"


def test_the_same_again_computes_nothing(place, capsys, monkeypatch):
    def no_more(*arguments, **options):
        raise AssertionError("something is computed")

    before = (place / "run" / "audit.jsonl").read_bytes()
    monkeypatch.setattr(request_design, "judge", no_more)
    monkeypatch.setattr(growth, "train_each", no_more)
    monkeypatch.setattr(request_design, "by_example", no_more)
    status, out, err = call(capsys, arguments(place))
    assert (status, err) == (0, "") and "finetune" in out
    assert (place / "run" / "audit.jsonl").read_bytes() == before


def test_everything_can_be_written_as_files(place, capsys):
    table = place / "x.csv"
    status, out, err = call(capsys, arguments(place, "--plot", "--table", str(table)))
    assert (status, err) == (0, "") and f"table: {table}" in out
    assert [row["method"] for row in csv.DictReader(table.read_text().splitlines())] == [
        "original",
        "twin",
        "finetune",
    ]
    pictures = list((place / "run" / "plots").glob("*.png"))
    assert pictures and all(f"plot: {path}" in out for path in pictures)


@pytest.mark.parametrize(("words", "shift"), [(["--plan"], "0.2"), (["--plan", "0.1"], "0.1")])
def test_a_plan_trains_nothing(tmp_path, capsys, words, shift):
    status, out, err = call(capsys, arguments(tmp_path, *words))
    assert (status, err) == (0, "") and f"a shift of {shift} sd needs" in out
    assert "1 method: 24 trainings, 8 unlearnings" in out and "8   0." in out
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache" / "banks").exists()


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"models": 8, "twins": 0}, "16 trainings, 8 unlearnings"),
        ({"models": 16, "design": "random"}, "32 trainings, 64 unlearnings"),
    ],
)
def test_a_plan_counts_what_its_design_trains(tmp_path, capsys, section, line):
    _, out, _ = call(capsys, arguments(tmp_path, "--plan", audit=section))
    assert line in out


def test_help_has_every_field(capsys):
    for words in (["audit", "--help"], ["help", "audit"]):
        status, out, err = call(capsys, words)
        assert (status, err) == (0, "") and "--plan" in out and "  save-weights  " in out
    assert "audit [--config FILE]" in call(capsys, ["--help"])[1]


MISTAKES = {
    "few networks": (["--audit.models", "6"], "6 networks a side; the tests need at least 8"),
    "an option": (["--audit.permutation", "99"], "'--audit.permutations'"),
    "another option": (["--plann"], "--plan"),
    "a shift": (["--plan", "-1"], "--plan"),
    "a shift in words": (["--plan", "much"], "--plan"),
    "a metric": (["--audit.metrics", "enrgy"], "energy"),
    "a method": (["--methods", "fintune"], "finetune"),
    "a table": (["--table", "x.xls"], "x.xls"),
    "a word": (["digits"], "digits"),
    "a precision": (
        ["--precision", "bfloat16"],
        'too coarse to compare laws by; precision = "float32"',
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, capsys, name):
    options, part = MISTAKES[name]
    one_line(capsys, arguments(tmp_path, *options), part)
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache" / "banks").exists()


def test_a_sweep_is_no_audit(tmp_path, capsys):
    (tmp_path / "s.json").write_text(json.dumps({**CONFIG, "sweep": {"seed": [0, 1]}}))
    one_line(capsys, ["audit", "--config", str(tmp_path / "s.json")], "sweep --config")


def test_an_unwritable_place_is_one_line(tmp_path, capsys):
    words = arguments(tmp_path)
    for option in ("--cache-dir", "--workdir"):
        (tmp_path / "file").write_text("")
        changed = list(words)
        changed[words.index(option) + 1] = str(tmp_path / "file")
        one_line(capsys, changed, option, "is a file, and a folder is needed")


def test_a_run_with_the_section_says_whose_it_is(whole, place, capsys):
    words = arguments(place)[1:]
    status, out, err = call(capsys, words)
    assert (status, err) == (0, "")
    assert (
        f"[audit] is for another command: python -m junlearn.main audit --config {words[1]}" in out
    )
    first = (place / "run" / "records.jsonl").read_text().splitlines()[0]
    without = {name: value for name, value in CONFIG.items() if name != "audit"}
    (place / "tiny.json").write_text(json.dumps(without))
    words[words.index("--workdir") + 1] = str(place / "other")
    status, out, _ = call(capsys, words)
    assert status == 0 and "[audit]" not in out
    second = (place / "other" / "records.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["config_hash"] == json.loads(second)["config_hash"]


def test_a_method_that_fails_leaves_the_others(place, capsys, monkeypatch):
    """It is one line and a status; the methods beside it are judged."""
    section = CONFIG["method"] | {"sisa": {"shards": 2000}}
    words = arguments(place, methods=["sisa", "finetune"], method=section)
    status, out, err = call(capsys, words)
    assert status in (1, 2) and err.count("\n") == 1 and err.startswith("junlearn: sisa: ")
    assert "finetune" in out and (place / "run" / "audit.html").exists()


def test_another_recipe_is_said_by_name(place, capsys):
    _, out, _ = call(capsys, arguments(place, "--train.epochs", "2"))
    found = results(place)
    assert len(found) == 6
    line = next(line for line in out.splitlines() if line.startswith("audit: bank"))
    assert line.endswith("has another recipe (train.epochs); making a new one")
    _, out, _ = call(capsys, arguments(place))
    assert "another recipe" not in out


def test_signals_end_it_and_the_same_command_goes_on(whole, tmp_path, capsys, monkeypatch):
    import signal

    from junlearn.engine import network_file

    write, calls = network_file.write, []

    def interrupted(*arguments, **options):
        calls.append(0)
        if len(calls) == 12:
            signal.raise_signal(signal.SIGINT)
        return write(*arguments, **options)

    monkeypatch.setattr(network_file, "write", interrupted)
    status, _, err = call(capsys, arguments(tmp_path))
    assert status == 130 and err.count("\n") == 1 and "the same command goes on" in err
    with contextlib.suppress(FileNotFoundError):
        assert not (tmp_path / "run" / "audit.jsonl").read_text()
    assert call(capsys, arguments(tmp_path))[0] == 0
    assert networks(tmp_path) == networks(whole)
    assert results(tmp_path) == results(whole)


def networks(place):
    return {p.relative_to(place): p.read_bytes() for p in (place / "cache").rglob("banks/**/*.npz")}
