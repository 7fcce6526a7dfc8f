"""A grid from options alone: what the words mean, what is refused, and a small one end to end."""

import csv

import pytest

from junlearn import cli
from junlearn.commands import axes
from junlearn.errors import ConfigError
from tests import tiny_run
from tests.small_run import call

TWO = ("--methods", "finetune", "ssd")


def values(*arguments):
    """The axes of each point."""
    return [point.axes for point in axes.planned(arguments).points]


def test_every_option_with_several_values_is_an_axis():
    assert values("--seeds", "0", "1", "--train.epochs", "5", "10") == [
        {"train.epochs": epochs, "seed": seed} for epochs in (5, 10) for seed in (0, 1)
    ]
    planned = axes.planned(
        ["--seeds", "3", "4", "--train.epochs=2", "--metrics", "accuracy", "tow"]
    )
    assert [point.axes for point in planned.points] == [{"seed": 3}, {"seed": 4}]
    assert planned.points[1].experiment.seed == 4 and planned.single is None
    assert planned.points[1].experiment.train.epochs == 2
    assert planned.points[0].experiment.metrics == ("accuracy", "tow")


def test_words_of_a_list_are_values_and_commas_join():
    planned = axes.planned(["--seeds", "0", "--scenario.classes", "0,1", "2"])
    assert [point.axes["scenario.classes"] for point in planned.points] == [[0, 1], [2]]
    assert planned.points[0].experiment.scenario.classes == (0, 1)
    assert planned.lists == {"scenario.classes": 2}
    together = axes.planned(["--seeds", "0", "1", "--scenario.classes", "0,1"])
    assert [point.axes for point in together.points] == [{"seed": 0}, {"seed": 1}]
    assert together.points[1].experiment.scenario.classes == (0, 1)


@pytest.mark.parametrize(
    "words",
    [("--references", "1", "3"), ("--reference", "True", "False"), ("--loop.kind", "auto", "scan")],
)
def test_what_changes_no_network_is_no_axis(words):
    with pytest.raises(ConfigError, match="it changes no number of a network"):
        axes.planned(["--seeds", "0", "1", *words])


def test_loggers_are_one_value():
    found = axes.planned(["--seeds", "0", "1", "--loop.log", "csv", "tensorboard"])
    assert [point.experiment.loop.log for point in found.points] == [("csv", "tensorboard")] * 2


def test_settings_of_a_method_are_settings_and_no_points():
    planned = axes.planned([*TWO, "--seeds", "0", "1", "--method.ssd.alpha", "1", "10"])
    assert [point.axes for point in planned.points] == [{"seed": 0}, {"seed": 1}]
    assert planned.points[0].experiment.methods == ("finetune", "ssd_1", "ssd_2")
    assert planned.points[0].experiment.method.ssd_2.alpha == 10
    alone = axes.planned(["--methods", "ssd", "--seeds", "0", "--method.alpha", "1", "10"])
    assert len(alone.points) == 1 and alone.single is None
    assert alone.points[0].experiment.method.ssd_1.alpha == 1


def test_components_can_be_axes():
    found = axes.planned(["--seeds", "0", "--model.name", "mlp", "small_cnn"])
    assert [point.experiment.model.name for point in found.points] == ["mlp", "small_cnn"]
    found = axes.planned(["--seeds", "0", "--scenario.name", "class", "random"])
    assert [point.experiment.scenario.name for point in found.points] == ["class", "random"]


def test_one_seed_alone_is_a_run_of_it():
    planned = axes.planned(["--plot", "--seeds", "5", "--scenario.classes", "0,1", "--table=a.csv"])
    assert planned.single == [
        *("--plot", "--table", "a.csv", "--scenario.classes", "0", "1", "--seed", "5")
    ]
    assert axes.planned(["--seeds", "5", "--dry-run"]).single is None


def test_seeds_of_one_source_are_another_option():
    assert not axes.asked(["--seeds.order", "1", "--scenario.classes", "0", "1"])
    assert axes.asked(["--seeds=1"]) and axes.asked(["--plot", "--seeds", "1"])
    planned = axes.planned(["--seeds", "0", "1", "--seeds.order", "7"])
    assert {point.experiment.seeds.order for point in planned.points} == {7}
    assert values("--seeds", "0", "--seeds.order", "7", "8")[1] == {"seeds.order": 8, "seed": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds"], "--seeds: its values are missing, such as --seeds 0 1 2"),
        (["--seeds", "0", "1", "0"], "--seeds: '0' stands twice"),
        (["--seeds", "0", "one"], "--seeds: the value 'one': expected a whole number"),
        (["--seeds", "0", "-1"], "--seeds: the value '-1': expected a whole number from 0"),
        (["--seeds", "0", "--seed", "1"], "--seed and --seeds: give one of them"),
        (["--seeds", "0", "--seeds", "1"], "--seeds stands twice"),
        (["--seeds", "0", "--train.epochs", "5", "-3"], "the value '-3': train.epochs: Expected"),
        (["--seeds", "0", "--train.epoch", "5", "3"], "did you mean '--train.epochs'"),
        (["--seeds", "0", "--train.batch-size", "5", "--train.batch_size", "3"], "stands twice"),
        (["--seeds", "0", "--scenario.classes", "1", "2", "1"], "'1' stands twice"),
        (["--seeds", "0", "--methods", "sdd"], "unknown method 'sdd'; did you mean 'ssd'"),
        (["--seeds", "0", "--model.name", "mlp", "mpl"], "did you mean 'mlp'"),
        (["--seeds", "0", "--train", "1", "2"], "--train"),
        (["--seeds", "0", "1", "--over", "sed"], "unknown axis 'sed'"),
        (["--seeds", "0", "1", "--dry-run", "yes"], "--dry-run takes no value, got 'yes'"),
        (["--config", "nowhere.toml", "--seeds", "0", "1"], "nowhere.toml"),
    ],
)
def test_what_is_refused(arguments, message, place, capsys):
    status, out, err = call(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1) and message in err
    assert not (place / "runs").exists()


def test_a_class_that_does_not_exist_is_refused_before_anything_is_trained(place, capsys):
    status, out, err = call(capsys, "--seeds", "0", "1", "--scenario.classes", "0", "12")
    assert status == 2 and "classes [12], seed 0: class 12 does not exist" in err
    assert "scenario.classes: 2 values, each in experiments of its own" in out
    assert not (place / "runs").exists()


def test_it_runs_compares_and_goes_on(place, capsys):
    config = tiny_run.arguments(place / "a")[:2]
    grid = [*config, "--seeds", "0", "1", "--scenario.classes", "3", "4"]
    more = ["--table", "w/all.csv", "--workdir", "w"]
    status, out, err = call(capsys, *grid, *more)
    assert (status, err) == (0, "") and out.count("point ") == 4
    # Of a single method there is no rank.
    assert "digits, mlp, scenario class, classes" in out and "mean rank" not in out
    assert "mean ± sample standard deviation over seed" in out
    with (place / "w" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["scenario.classes"] for row in rows} == {"[3]", "[4]"}
    assert {row["runs"] for row in rows} == {"2"} and "finetune" in {r["method"] for r in rows}
    assert r"\toprule" in (place / "w" / "comparison.tex").read_text()
    assert "| finetune |" in (place / "w" / "comparison.md").read_text()
    with (place / "w" / "all.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    # The same again trains nothing, and what it says is what `compare` says.
    over = ["--over", "seed", "scenario.classes"]
    status, again, err = call(capsys, *grid, *over, "--workdir", "w")
    assert (status, err) == (0, "") and "in steps" not in again and "8 of them done" in again
    status, told, err = call(capsys, "compare", "w", *over)
    assert (status, err) == (0, "") and told in again and " 4\n" in told
    status, _, err = call(capsys, "compare", "w", "--over", "scenario.classes")
    assert status == 2 and "seed is 0 in w/points/" in err


def test_several_classes_without_seeds_are_one_request():
    words = ["--scenario.classes", "0", "1", "2"]
    assert not axes.asked(words)
    assert cli.experiment(*cli.split_arguments(words)).scenario.classes == (0, 1, 2)
