"""Sweeps: their points, what of them is done, which setting is chosen, and a small one end to end."""

import csv
import re
from pathlib import Path

import pytest

from junlearn import cli
from junlearn.errors import ConfigError
from junlearn.experiment import records, schema, sweep
from junlearn.main import main
from junlearn.reports import sweep as sweep_report
from junlearn.reports.pictures.share_curves import share_curves

BASE = """
methods = ["finetune", "ssd"]
validation = 0.1
reference = false
metrics = ["accuracy", "corrective", "whole_train"]
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "poisoning"
manipulated = 60
[train]
epochs = 2
batch_size = 128
[method.finetune]
epochs = 1
keep = "best_validation"
[method.ssd]
importance = "batch"
denominator = "retain"
order = "shuffled"
[sweep]
"scenario.share" = [0.25, 1.0]
seed = [0, 1]
[sweep.method.ssd]
alpha = [1, 8]
dampening = [0.1, 1.0]
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "sweep.toml").write_text(BASE)
    return schema.read(tmp_path / "sweep.toml")


def test_every_combination_is_a_point(table):
    points = sweep.expand(table)
    assert [p.axes for p in points] == [
        {"scenario.share": share, "seed": seed} for share in (0.25, 1.0) for seed in (0, 1)
    ]
    for point in points:
        experiment = point.experiment
        assert experiment.scenario.share == point.axes["scenario.share"]
        assert experiment.seed == point.axes["seed"]
        assert experiment.methods == ("finetune", "ssd_1", "ssd_2", "ssd_3", "ssd_4")
        assert experiment.method.ssd_2.alpha == 1 and experiment.method.ssd_2.dampening == 1.0
        assert experiment.method.ssd_3.alpha == 8 and experiment.method.ssd_3.name == "ssd"
        assert experiment.method.ssd_3.order == "shuffled"
        assert point.settings["ssd_3"] == ("ssd", {"alpha": 8, "dampening": 0.1})
    assert len({p.directory(Path("w")) for p in points}) == 4
    # The share does not change what the original is trained on.
    assert sweep.originals(points) == 2


def test_several_grids_of_one_method_and_none(table):
    table["sweep"]["method"]["ssd"] = [
        {"alpha": [1], "dampening": [0.1, 1.0]},
        {"threshold": ["adaptive"]},
    ]
    (point, *_) = sweep.expand(table)
    assert [s for m, s in point.settings.values() if m == "ssd"] == [
        {"alpha": 1, "dampening": 0.1},
        {"alpha": 1, "dampening": 1.0},
        {"threshold": "adaptive"},
    ]
    table["sweep"] = {}
    (point,) = sweep.expand(table)
    assert point.axes == {} and point.experiment.methods == ("finetune", "ssd")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("sweep"), r"\[sweep\]"),
        (lambda t: t["sweep"].update(seed=3), "sweep.seed: expected a list"),
        (lambda t: t["sweep"].update(seed=[]), "sweep.seed: expected a list"),
        (lambda t: t["sweep"].update({"scenario.shore": [1]}), "scenario.shore.*scenario.share"),
        (lambda t: t["sweep"].update({"seed.x": [1]}), "seed"),
        (lambda t: t["sweep"]["method"].update(sdd={}), "sdd.*ssd"),
        (lambda t: t["sweep"]["method"]["ssd"].update(alpha=2), "ssd.alpha: expected a list"),
        (lambda t: t["sweep"]["method"]["ssd"].update(alfa=[2]), "alfa.*alpha"),
    ],
)
def test_what_is_not_a_sweep_is_refused(table, change, message):
    change(table)
    with pytest.raises(ConfigError, match=message):
        sweep.expand(table)


def trial(setting, seed, **scores):
    record = {"metrics": {f"corrective/{n}": v for n, v in scores.items()}}
    return sweep.Trial({"scenario.share": 0.5, "seed": seed}, "ssd", {"alpha": setting}, record)


def test_the_best_setting_over_the_seeds():
    found = [
        trial(1, 0, oracle=0.9, developer=0.1),
        trial(1, 1, oracle=0.1, developer=0.2),
        trial(2, 0, oracle=0.6, developer=0.1),
        trial(2, 1, oracle=0.5, developer=0.1),
    ]
    assert sweep.best(found, "oracle") == [found[2:]]
    assert sweep.best(found, "developer") == [found[:2]]
    assert sweep.best(found, None) == [found[:2], found[2:]]


def test_a_choice_needs_its_score():
    found = [trial(1, 0, oracle=0.9), trial(2, 0, oracle=0.8)]
    with pytest.raises(ConfigError, match=r"developer.*validation"):
        sweep.best(found, "developer")
    # Where there is nothing to choose, none is needed.
    assert sweep.best(found[:1], "developer") == [found[:1]]
    with pytest.raises(ConfigError, match=r"orakle.*oracle"):
        sweep.check([], "orakle", ["seed"])


@pytest.fixture
def place(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    return tmp_path


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_sweep_end_to_end(place, capsys):
    run = ["sweep", "--config", "sweep.toml", "--workdir", "w"]
    assert main([*run, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert re.search(r"points +4", plan) and re.search(r"originals +2", plan)
    assert re.search(r"networks +24 +to judge, 0 of them done", plan)
    assert not (place / "w").exists()

    assert main([*run, "--select", "developer"]) == 0
    out = capsys.readouterr().out
    assert out.count("point ") == 4
    # One pass for the importances of the four settings of SSD, at each of the four points.
    for directory in (place / "w" / "points").iterdir():
        kept = [path.name for path in (directory / "checkpoints").iterdir() if path.is_dir()]
        assert sorted(name.split("-")[0] for name in kept) == ["finetune", "ssd_1"]
    rows = read_csv(place / "w" / "summary.csv")
    assert [(row["scenario.share"], row["method"], row["runs"]) for row in rows] == [
        (share, method, "2")
        for share in ("0.25", "1.0")
        for method in ("original", "finetune", "ssd")
    ]
    assert all(float(row["corrective/corrected_std"]) >= 0 for row in rows)
    runs = read_csv(place / "w" / "runs.csv")
    assert len(runs) == 24
    for row in runs:
        names = ("accuracy/train_untriggered", "accuracy/train_triggered", "accuracy/validation")
        assert all(0 < float(row[name]) <= 1 for name in names)
    pictures = ("curves", "trade_off_1", "trade_off_2", "time_quality_1", "time_quality_2")
    for name in (f"{picture}.png" for picture in pictures):
        assert (place / "w" / name).read_bytes().startswith(b"\x89PNG")

    # Also if the records are older than a field that has no value.
    for log in (place / "w").rglob("records.jsonl"):
        older = records.read(log)
        log.unlink()
        for record in older:
            del record["config"]["sample"]
            records.append(log, record)
    assert main([*run, "--dry-run"]) == 0
    assert "24 of them done" in capsys.readouterr().out


def test_a_setting_that_diverges_leaves_the_others_in_the_table(place, capsys):
    text = BASE.replace('methods = ["finetune", "ssd"]', 'methods = ["finetune"]')
    text = text.split("[method.ssd]")[0] + "[sweep]\nseed = [0]\n[sweep.method.finetune]\n"
    (place / "sweep.toml").write_text(text + "learning_rate = [0.01, 1e35]\n")
    assert main(["sweep", "--config", "sweep.toml", "--workdir", "w"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("junlearn: seed 0, finetune_2: the run diverged")
    rows = read_csv(place / "w" / "summary.csv")
    assert [(row["method"], row["settings"]) for row in rows] == [
        ("original", ""),
        ("finetune", "learning_rate 0.01"),
    ]


def test_classes_as_repeats_with_aus_of_their_means():
    def run(method, role, classes, kept, forgotten):
        metrics = {"accuracy/retain_test": kept, "accuracy/forget_test": forgotten}
        record = {
            "metrics": metrics,
            "seconds": {"run": 1.0},
            "scenario": "class",
            "role": role,
        }
        return sweep.Trial({"scenario.classes": classes, "seed": 0}, method, {}, record)

    found = [
        run("original", "original", [0], 0.9, 0.9),
        run("original", "original", [1], 0.8, 0.8),
        run("scar", "unlearn", [0], 0.8, 0.0),
        run("scar", "unlearn", [1], 0.7, 0.1),
    ]
    over = ["seed", "scenario.classes"]
    runs = sweep.best(found, None, over)
    assert runs == [found[:2], found[2:]]
    before, after = sweep_report.summary(runs, over)
    assert before["aus_of_means"] is None and after["runs"] == 2
    assert after["accuracy/retain_test"] == pytest.approx(0.75)
    assert after["accuracy/retain_test_std"] == pytest.approx(0.05 * 2**0.5)
    assert after["aus_of_means"] == pytest.approx((1 - 0.1) / (1 + 0.05))
    assert after["aus_of_means_std"] > 0
    assert share_curves(runs, over) is None
    # Without that, a row a class.
    assert [row["runs"] for row in sweep_report.summary(sweep.best(found, None))] == [1] * 4
    with pytest.raises(ConfigError, match=r"scenario\.class'.*scenario\.classes"):
        points = [sweep.Point({"scenario.classes": [0]}, None, {})]
        sweep.check(points, None, ["scenario.class"])
