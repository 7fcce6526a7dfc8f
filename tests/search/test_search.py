"""The command line: three trials of a tiny run, what they leave, and that the best settings are read again."""

import csv
import json
import tomllib

import pytest

from junlearn.experiment import records, schema
from junlearn.reports.trials_pictures import picture
from junlearn.search.findings import Found, Method, Tried
from junlearn.search.objectives import objective_of
from junlearn.search.question import question_of
from tests.search.small_search import table
from tests.small_run import call, output


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    (folder / "s.json").write_text(json.dumps(table(seeds=[1], held_out=0.3) | {"seed": 4}))
    return folder


@pytest.fixture(scope="module")
def words(place):
    places = ["--workdir", str(place / "run"), "--cache-dir", str(place / "cache")]
    return ["search", "--config", str(place / "s.json"), *places]


@pytest.fixture(scope="module")
def shown(words):
    return output(*words)


def test_the_plan_is_printed_and_leaves_nothing(place, words, capsys):
    status, out, _ = call(capsys, *words, "--trials", "7", "--dry-run")
    assert status == 0
    text = " ".join(out.split())
    assert "30 % of the training set, held out in the place of the test set; never the test" in text
    assert "learning_rate 0.001 to 1, log" in text and "7 of each method, chosen by tpe" in text
    assert "1 original, 1 retrained, at most 7 unlearned" in text


def test_three_trials(place, shown):
    with (place / "run" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    assert {row["state"] for row in rows} == {"finished"}
    assert float(rows[0]["setting/learning_rate"]) == 0.02
    best = min(rows, key=lambda row: float(row["value"]))
    assert best["best"] == "True" and f"{float(best['value']):.4f}" in shown
    assert rows[0]["value"] == rows[0]["value/seed 1"]
    parts = [float(rows[0][f"part/{p}"]) for p in ("forget", "retain", "validation", "attack")]
    assert float(rows[0]["value"]) == pytest.approx(sum(parts) / 4)
    assert (place / "run" / "plots" / "finetune.png").stat().st_size > 10_000


def test_the_records_of_a_trial_say_how_it_was_judged(place, shown):
    logs = list((place / "run" / "trials" / "finetune").glob("*/seed_1/records.jsonl"))
    assert len(logs) == 3
    for log in logs:
        found = records.read(log)
        assert [r["role"] for r in found] == ["original", "retrain", "unlearn"]
        assert found[2]["config"]["held_out"] == 0.3
        assert found[2]["config"]["search"]["objective"] == "validation_gap"
        assert "held-out-0.3-1" in found[2]["request"]["data"]


def test_the_best_settings_are_a_configuration(place, shown):
    path = place / "run" / "best.toml"
    before = json.loads((place / "s.json").read_text())
    assert tomllib.loads(path.read_text()).keys() == before.keys() - {"search"}
    experiment = schema.parse(schema.read(path))
    first = schema.parse({k: v for k, v in before.items() if k != "search"})
    with (place / "run" / "trials.csv").open() as file:
        (best,) = (row for row in csv.DictReader(file) if row["best"] == "True")
    assert experiment.method.finetune.learning_rate == float(best["setting/learning_rate"])
    assert experiment.held_out == 0 and experiment.seed == 4
    changed = schema.plain(experiment)
    changed["method"]["finetune"]["learning_rate"] = first.method.finetune.learning_rate
    assert changed == schema.plain(first)
    head = " ".join(line.lstrip("# ") for line in path.read_text().splitlines() if line[:1] == "#")
    assert "Objective: validation_gap, mean absolute difference to the network retrained" in head
    assert "never the test set. Seeds of each trial: 1." in head and "optuna" in head
    assert "trial 1; 3 of 3 trials (3 finished)" in head or "of 3 trials (3 finished)" in head
    assert "search --config" in head


def test_the_same_command_again_runs_nothing(place, words, shown, capsys):
    before = {p: p.stat().st_mtime_ns for p in (place / "run" / "trials").rglob("records.jsonl")}
    status, out, err = call(capsys, *words)
    assert (status, err) == (0, "")
    assert "3 of all are there" in " ".join(out.split()) and "trial 1 of" not in out
    assert before == {
        p: p.stat().st_mtime_ns for p in (place / "run" / "trials").rglob("records.jsonl")
    }


def test_a_search_in_which_all_trials_fail(place, words, capsys, monkeypatch):
    def fails(*arguments):
        from junlearn.search.trials import TrialFailed

        raise TrialFailed("DivergedError: loss is nan")

    monkeypatch.setattr("junlearn.search.rounds.judge", fails)
    other = ["--workdir", str(place / "other")]
    status, out, err = call(capsys, *words[:3], *other, *words[5:])
    assert status == 1
    assert (
        err
        == "junlearn: finetune: no trial finished, 3 failed; the last: DivergedError: loss is nan\n"
    )
    assert not (place / "other" / "best.toml").exists()
    assert "failed (learning_rate 0.02): DivergedError" in out


def tried(number, state, *values, error=""):
    return Tried(number, {"learning_rate": 0.1}, state, list(values), {}, 1.0, error)


def found(objective="validation_gap", trials=(), importance=None):
    question = question_of(table(objective=objective))
    method = Method(
        *("finetune", question.spaces["finetune"], question.objective.better),
        *(list(trials), importance or {}, {}),
    )
    return Found(objective_of(question.experiment), 0.1, (0, 1), 4, [method]), method


def test_a_picture_has_every_trial_and_the_best_so_far():
    trials = [
        tried(1, "finished", 0.5, 0.3),
        tried(2, "failed", error="x"),
        tried(3, "finished", 0.1, 0.3),
        tried(4, "pruned", 0.7),
    ]
    figure = picture(*found(trials=trials, importance={"learning_rate": 0.7, "epochs": 0.3}))
    history, importance = figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in history.lines}
    assert lines["best so far"] == [[1, 0.4], [3, pytest.approx(0.2)], [4.5, pytest.approx(0.2)]]
    assert lines["pruned, mean so far"] == [[4, 0.7]]
    assert lines["failed, no value"][0][0] == 2
    assert lines["best, 0.2"] == [[3, pytest.approx(0.2)]]
    assert [bar.get_width() for bar in importance.patches] == [0.3, 0.7]
    assert "lower is better" in history.get_ylabel()


def test_the_best_of_a_metric_that_is_to_be_large_and_the_oracle_in_the_title():
    trials = [tried(1, "finished", 0.5, 0.5), tried(2, "finished", 0.6, 0.8)]
    report, method = found("aus", trials)
    assert method.best.number == 2 and "higher" in picture(report, method).axes[0].get_ylabel()
    assert "REAL TEST SET" not in picture(report, method).get_suptitle()
    assert "REAL TEST SET" in picture(*found("oracle", trials)).get_suptitle()
