"""Axes of a sweep that are whole sections, the folders of its points, its own folder, and rules of selection."""

import json
from pathlib import Path

import pytest

from junlearn import cli
from junlearn.errors import ConfigError
from junlearn.experiment import ruling, schema, sweep
from junlearn.experiment.folders import folders
from junlearn.main import main
from junlearn.metrics.directions import value_of

BASE = {
    "methods": ["finetune", "ssd"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [16]},
    "scenario": {"name": "class", "classes": [3]},
    "train": {"epochs": 1, "batch_size": 32},
}


def points(grid, **change):
    return sweep.expand(BASE | change | {"sweep": grid})


def test_an_axis_of_scenarios_with_fields_of_their_own():
    tables = [
        {"name": "class", "classes": [0]},
        {"name": "random", "fraction": 0.1},
        {"classes": [4, 5]},
    ]
    first, second, third = points({"scenario": tables})
    assert first.experiment.scenario.classes == (0,)
    assert second.experiment.scenario.fraction == 0.1
    assert third.experiment.scenario.classes == (4, 5)
    assert first.title() == "scenario class (classes [0])"
    assert [point.folder for point in (first, second)] == [
        "scenario-class-classes-0",
        "scenario-random-fraction-0.1",
    ]


def test_axes_of_other_sections():
    found = points(
        {
            "dataset": [{"name": "digits"}, {"name": "mnist", "train_per_class": 5}],
            "model": [{"hidden": [8]}, {"name": "small_cnn"}],
            "train": [{"epochs": 2}],
        }
    )
    assert [(p.experiment.dataset.name, p.experiment.model.name) for p in found] == [
        ("digits", "mlp"),
        ("digits", "small_cnn"),
        ("mnist", "mlp"),
        ("mnist", "small_cnn"),
    ]
    assert found[0].experiment.model.hidden == (8,)
    assert {(p.experiment.train.epochs, p.experiment.train.batch_size) for p in found} == {(2, 32)}
    assert len({p.folder for p in found}) == 4
    noise = [{"name": "gaussian_noise", "count": count} for count in (4, 5)]
    assert [p.experiment.surrogate.count for p in points({"surrogate": noise})] == [4, 5]


def test_an_axis_of_a_method_reaches_all_its_settings():
    grid = {"method.ssd": [{"dampening": 0.5}, {"dampening": 1, "power": 1}]}
    first, second = points(grid | {"method": {"ssd": {"alpha": [1, 2]}}})
    assert [first.experiment.method.ssd_1.alpha, first.experiment.method.ssd_2.alpha] == [1, 2]
    assert first.experiment.method.ssd_2.dampening == 0.5
    assert second.experiment.method.ssd_1.power == second.experiment.method.ssd_2.power == 1
    with pytest.raises(ConfigError, match="another method"):
        sweep.expand(
            BASE
            | {"methods": ["ssd", "ssd_1"], "method": {"ssd_1": {"name": "ssd"}}}
            | {"sweep": {"method": {"ssd": {"alpha": [1, 2]}}}}
        )


@pytest.mark.parametrize(
    "values", [["a b", "a-b"], ["a", "A"], ["1", 1], ["x/y", "x y", "x_y"], ["/", "é", " "]]
)
def test_folders_are_told_apart(values):
    names = folders([{"scenario.file": value, "seed": 0} for value in values])
    assert len({name.casefold() for name in names}) == len(values)
    assert folders([{"scenario.file": value} for value in values[:1]])[0].count("-") <= 2


def test_folders_that_were_clear_keep_their_names():
    places = [{"scenario.classes": [0, 1], "seed": 0}, {"scenario.classes": [2], "seed": 1}]
    assert folders(places) == ["classes-0_1-_seed-0", "classes-2-_seed-1"]
    assert folders([{}]) == ["only"]
    (long,) = folders([{"scenario.file": "ü" * 500}])
    assert len(long.encode()) < 255 and folders([{"scenario.file": "ü" * 501}]) != [long]


def test_the_folder_of_a_sweep_and_where_it_was_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = points({"seed": [0]})
    file = Path("configs/laf/grid.toml")
    assert cli.sweep_workdir(file, found) == Path("runs/laf_grid")
    point = found[0]
    old = point.directory(Path("runs/grid"))
    old.mkdir(parents=True)
    assert cli.sweep_workdir(file, found) == Path("runs/laf_grid")
    monkeypatch.setattr(
        sweep, "done", lambda p, workdir, remark: int(p.directory(workdir).exists())
    )
    assert cli.sweep_workdir(file, found) == Path("runs/grid")
    Path("runs/laf_grid").mkdir()
    assert cli.sweep_workdir(file, found) == Path("runs/laf_grid")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("oracle", ("corrective/oracle", "max")),
        ("developer", ("corrective/developer", "max")),
        ("accuracy/retain_test", ("accuracy/retain_test", "max")),
        ("js/forget_train", ("js/forget_train", "min")),
        ("corrective/attack_success", ("corrective/attack_success", "min")),
        ("aus:min", ("aus", "min")),
        ("mia/entropy:min", ("mia/entropy", "min")),
        ("distance/retrain/total", ("distance/retrain/total", "min")),
        ("tow", ("tow", "max")),
    ],
)
def test_rules(text, rule):
    assert ruling.rule_of(text) == rule


@pytest.mark.parametrize("text", ["", "orakle", "mia/entropy", "aus:up", "mia/x:min", "seconds"])
def test_what_is_no_rule(text):
    with pytest.raises(ConfigError):
        ruling.rule_of(text)


@pytest.mark.parametrize(
    ("text", "change", "remedy"),
    [
        ("oracle", {}, "manipulates nothing"),
        ("developer", {"scenario": {"name": "poisoning"}}, "set validation = 0.1"),
        ("tow", {"reference": False}, "set reference = true"),
        ("asr/laf:min", {}, "add it to metrics"),
        ("aus", {"metrics": ["accuracy"]}, "add it to metrics"),
        ("accuracy/validation", {}, "set validation = 0.1"),
    ],
)
def test_a_rule_that_cannot_be_computed_is_refused(text, change, remedy):
    with pytest.raises(ConfigError, match=remedy):
        sweep.check(points({"seed": [0, 1]}, **change), text, ["seed"])
    sweep.check(points({"seed": [0, 1]}), "aus", ["seed"])
    with pytest.raises(ConfigError, match="no examples of 'forget_test'"):
        sweep.check(points({}), "accuracy/forget_test:min", [], [{"test"}])


def test_the_best_is_the_least_where_less_is_better():
    def trial(setting, value):
        record = {"metrics": {"js/forget_train": value}}
        return sweep.Trial({}, "ssd", {"alpha": setting}, record)

    found = [trial(1, 0.5), trial(2, 0.1)]
    assert sweep.best(found, "js/forget_train") == [found[1:]]
    assert sweep.best(found, "js/forget_train:max") == [found[:1]]


GRID = """
methods = ["neggrad"]
reference = false
metrics = ["accuracy"]
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "class"
[train]
epochs = 1
[sweep]
seed = [0]
[sweep.method.neggrad]
epochs = [1, 2]
"""


def test_tables_are_written_also_when_nothing_can_be_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    (tmp_path / "g.toml").write_text(GRID)
    run = ["sweep", "--config", "g.toml", "--workdir", "w", "--select", "accuracy/retain_test"]
    assert main(run) == 0
    summary = (tmp_path / "w" / "summary.csv").read_text().splitlines()
    assert len(summary) == 3 and capsys.readouterr().err == ""
    # Records that lack the value, whatever the reason.
    log = tmp_path / "w" / "points" / "seed-0" / "records.jsonl"
    assert '"accuracy/retain_test"' in log.read_text()
    for name in ("runs.csv", "summary.csv"):
        (tmp_path / "w" / name).unlink()
    monkeypatch.setattr(
        sweep,
        "trials",
        lambda point, found: [
            sweep.Trial(
                point.axes,
                *point.settings.get(record["method"], (record["method"], {})),
                json.loads(json.dumps(record).replace("accuracy/retain_test", "accuracy/other")),
            )
            for record in found
        ],
    )
    assert main(run) == 2
    err = capsys.readouterr().err
    assert "nothing to choose by" in err and err.count("\n") == 1
    assert len((tmp_path / "w" / "summary.csv").read_text().splitlines()) == 4
    assert (tmp_path / "w" / "runs.csv").exists()


def test_every_value_in_the_tables_has_an_entry():
    for name in (
        "accuracy/test",
        "mia_svm/compat_accuracy_std",
        "relearn_retain/gap/100",
        "asr/laf",
    ):
        assert value_of(name) is not None
    assert value_of("accuracy/tset") is None and schema.parse(BASE)
