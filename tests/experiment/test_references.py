"""Several retrained networks: the first is that of every run, and the others show the range of each metric."""

import json

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.experiment import references, schema, sweep, training
from junlearn.experiment.identity import another
from junlearn.experiment.records import append, read
from junlearn.main import main
from tests import tiny_run
from tests.recorded import record

METRICS = ["accuracy", "divergence", "aus"]
TINY = {"reference": True, "metrics": METRICS, "methods": ["finetune"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with one retrained network, then the same with two: what each printed, and the records of both."""
    directory = tmp_path_factory.mktemp("references")
    arguments = tiny_run.arguments(directory, **TINY)
    assert main(arguments) == 0
    one = read(directory / "run" / "records.jsonl")
    assert main([*arguments, "--references", "2"]) == 0
    return directory, arguments, one, read(directory / "run" / "records.jsonl")


def test_the_first_is_the_single_one(run):
    _, _, one, two = run
    told = [dict(line) for line in two]
    both = told[1].pop("references")
    assert told == one
    assert both["count"] == 2
    values = both["metrics"]["accuracy/test"]
    assert values[0] == one[1]["metrics"]["accuracy/test"]
    assert values[1] != values[0]


def test_what_compares_with_the_first_is_of_the_others(run):
    *_, two = run
    found = two[1]["references"]["metrics"]
    assert len(found["js/test"]) == 1 and found["js/test"][0] > 0
    assert len(found["aus"]) == 2
    assert "js/test" not in two[1]["intervals"] and "js/test" in two[2]["intervals"]


def test_a_second_time_nothing_is_trained(run, monkeypatch):
    directory, arguments, _, two = run

    def never(*given, **options):
        raise AssertionError("something was trained")

    monkeypatch.setattr(training, "train", never)
    assert main([*arguments, "--references", "2"]) == 0
    assert main(arguments) == 0
    assert read(directory / "run" / "records.jsonl") == two


def test_one_that_is_missing_is_trained_alone(run):
    directory, arguments, _, two = run

    def files():
        found = (directory / "cache" / "models").rglob("*")
        return {path: path.stat().st_mtime_ns for path in found if path.suffix == ".json"}

    before = files()
    assert main([*arguments, "--references", "3"]) == 0
    assert before.items() < files().items()
    values = read(directory / "run" / "records.jsonl")[1]["references"]["metrics"]["accuracy/test"]
    assert values[:2] == two[1]["references"]["metrics"]["accuracy/test"]
    assert len(values) == 3


def test_they_share_nothing_but_the_recipe(run):
    directory, *_ = run
    made = [json.loads(p.read_text()) for p in (directory / "cache").glob("models/*/made.json")]
    labels = sorted(note["label"] for note in made)
    assert labels[:3] == ["original", "retrain", "retrain 2"]
    assert {note["role"] for note in made} == {"original", "retrain"}


def test_several_of_none_are_refused(tmp_path, capsys):
    assert main([*tiny_run.arguments(tmp_path), "--references", "2"]) == 2
    assert "with reference = false there is none" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="references"):
        schema.parse(tiny_run.CONFIG | {"references": 0})


def test_a_sweep_knows_which_are_done(run):
    directory, _, _, two = run
    table = tiny_run.CONFIG | TINY | {"sweep": {"seed": [0]}}
    for wanted, done in ((1, 3), (2, 3), (9, 2)):
        (point,) = sweep.expand(table | {"references": wanted})
        log = point.directory(directory / "sweep") / "records.jsonl"
        if not log.exists():
            log.parent.mkdir(parents=True)
            for line in two:
                append(log, line)
        assert sweep.done(point, directory / "sweep", print) == done


def test_ranges():
    first = record(role="retrain", metrics={"accuracy/test": 0.5, "tow": 1.0, "lost": 1.0})
    assert references.count(first) == 1
    assert references.ranges([first]) == (1, {})
    made = references.added(first, [{"accuracy/test": 0.25, "tow": 0.5, "lost": np.nan}] * 2)
    assert references.ranges([record(), made]) == (
        3,
        {"accuracy/test": (0.25, 0.5), "tow": (0.5, 0.5)},
    )
    assert another({"order": 0}, 2) != another({"order": 0}, 3)
