"""What the loggers of the command line find in a run that was interrupted, goes on, and is repeated."""

import contextlib
import csv
import io
import json
import shutil
import tomllib
from pathlib import Path

import pytest

from junlearn.engine import checkpoint, processes
from junlearn.experiment import logged, records, schema
from junlearn.experiment.progress import Reporter
from junlearn.logs import choices, tensorboard
from junlearn.logs.csv_log import FINAL
from junlearn.logs.logger import epochs
from junlearn.main import main
from junlearn.text.terminal import Terminal
from tests import tiny_run
from tests.conftest import ROOT
from tests.logs import stand_in

EVERY = ("--log", "csv", "tensorboard", "wandb")


class Place:
    """A run that was interrupted when the second epoch of fine-tuning was logged and not yet saved; the same command
    went on, with pictures.
    """

    def __init__(self, directory, runs):
        self.directory, self.runs = directory, runs
        self.run = directory / "run"
        self.logs = self.run / "logs"

    @property
    def records(self):
        return records.read(self.run / "records.jsonl")

    def rows(self, name="metrics.csv"):
        return list(csv.DictReader((self.logs / name).read_text().splitlines()))

    def folder(self, record):
        return self.logs / "tensorboard" / f"{record['method']}-{record['config_hash'][:8]}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logged")
    # The end of an interrupted command silences the stdout that it finds.
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        runs = stand_in.install(patch)
        save = checkpoint.save

        def interrupted(store, state, position):
            if store.directory.name.startswith("finetune") and len(position["history"]) == 2:
                raise KeyboardInterrupt
            save(store, state, position)

        command = [*tiny_run.arguments(directory), *EVERY]
        patch.setattr(checkpoint, "save", interrupted)
        assert main(command) == 130
        patch.setattr(checkpoint, "save", save)
        assert main([*command, "--plot"]) == 0
    return Place(directory, runs)


def test_csv_holds_the_history_and_the_results(place):
    """Every number as it is in the record, and every row once."""
    wanted = []
    for record in place.records:
        its = epochs(record["history"])
        assert len(its) in (2, 3)
        of = (record["method"], record["config_hash"])
        for epoch in its:
            at = (*of, epoch.stage, str(epoch.number), str(epoch.step))
            wanted += [(*at, name, value) for name, value in epoch.values.items()]
        at = (*of, FINAL, "", str(its[-1].step))
        wanted += [(*at, name, value) for name, value in record["metrics"].items()]
        wanted += [(*at, f"seconds/{name}", value) for name, value in record["seconds"].items()]
    found = [(*list(row.values())[:-1], float(row["value"])) for row in place.rows()]
    assert sorted(found) == sorted(wanted)


def test_csv_holds_the_settings(place):
    found = {row["setting"]: row["value"] for row in place.rows("settings.csv")}
    assert found["method/epochs"] == "3" and found["model/hidden"] == "[8]"
    assert not [name for name in found if name.startswith("loop/")]


def test_tensorboard_holds_the_history_and_the_results(place):
    for record in place.records:
        found = list(tensorboard.scalars(place.folder(record)))
        assert len({point[:2] for point in found}) == len(found)
        points = {(tag, step): value for tag, step, value in found}
        for epoch in epochs(record["history"]):
            for name, value in epoch.values.items():
                assert points[f"{epoch.stage}/{name}", epoch.step] == pytest.approx(value, rel=1e-6)
        final = {tag: value for (tag, _), value in points.items() if tag.startswith("final/")}
        assert final["final/accuracy/test"] == pytest.approx(record["metrics"]["accuracy/test"])
        assert final["final/seconds/run"] == pytest.approx(record["seconds"]["run"])


def values(folder):
    """All that the events of a folder show."""
    return [value for event in tensorboard.events(folder) for value in event.summary.value]


def test_tensorboard_shows_settings_and_pictures(place):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    (record,) = (record for record in place.records if record["role"] == "unlearn")
    content = {value.tag: value for value in values(place.folder(record))}
    plugin = content["_hparams_/session_start_info"].metadata.plugin_data
    settings = HParamsPluginData.FromString(plugin.content).session_start_info.hparams
    assert settings["method/epochs"].number_value == 3
    assert settings["dataset/name"].string_value == "digits"
    drawn = {path.stem: path for path in (place.run / "plots").glob("*.png")}
    shown = {v.tag: v.image for v in values(place.logs / "tensorboard" / "plots")}
    assert set(shown) == set(drawn) and "gaps" in drawn
    image = shown["gaps"]
    assert image.encoded_image_string == drawn["gaps"].read_bytes() and image.width > 100


def test_wandb_goes_on_in_the_same_run(place):
    first, second = place.runs
    assert first.options["id"] == second.options["id"] and first.options["resume"] == "allow"
    assert (first.ended, second.ended) == (1, 0)
    told = [values for run in place.runs for values in run.logged if "plots/gaps" not in values]
    (record,) = (record for record in place.records if record["role"] == "unlearn")
    its = epochs(record["history"])
    assert [values["finetune/finetune/loss"] for values in told if "finetune/step" in values] == [
        epoch.values["loss"] for epoch in its
    ]
    assert first.axes["finetune/*"] == "finetune/step"
    final = {**first.summary, **second.summary}
    assert final["finetune/final/accuracy/test"] == record["metrics"]["accuracy/test"]
    assert second.config["finetune/method/epochs"] == 3
    assert [run for run in place.runs if "plots/gaps" in run.logged[-1]] == [second]


@pytest.fixture
def again(place, tmp_path):
    """A copy, in which the same command finds all networks and records."""
    shutil.copytree(place.directory, tmp_path / "again")
    return Place(tmp_path / "again", [])


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_command_again_adds_nothing(again, capsys):
    before = content(again.logs)
    assert main([*tiny_run.arguments(again.directory), "--log", "csv", "tensorboard"]) == 0
    assert content(again.logs) == before
    assert f"logs: {again.logs}" in capsys.readouterr().out


def test_networks_and_records_that_are_there_are_logged_whole(again):
    """Of a row that was cut off in its middle nothing is left."""
    before = (again.logs / "metrics.csv").read_bytes()
    half = before[: len(before) // 2].rpartition(b",")[0]
    (again.logs / "metrics.csv").write_bytes(half)
    shutil.rmtree(again.logs / "tensorboard")
    config = tiny_run.CONFIG | {"loop": {"log": ["tensorboard", "csv"]}}
    assert main(tiny_run.arguments(again.directory, **config)) == 0
    after = (again.logs / "metrics.csv").read_bytes()
    assert after.startswith(half.rpartition(b"\n")[0])
    assert sorted(after.splitlines()) == sorted(before.splitlines())
    (record,) = (record for record in again.records if record["role"] == "original")
    assert len(list(tensorboard.scalars(again.folder(record)))) > 4


def test_a_logger_that_fails_is_said_once(again, capsys):
    """The others, the records and the exit status are as ever."""
    (again.run / "records.jsonl").unlink()
    shutil.rmtree(again.logs)
    (again.logs / "metrics.csv").mkdir(parents=True)
    assert main([*tiny_run.arguments(again.directory), "--log", "csv", "tensorboard"]) == 0
    captured = capsys.readouterr()
    lines = [line for line in captured.out.splitlines() if "failed" in line]
    assert len(lines) == 1 and lines[0].startswith("log csv failed and is left out")
    assert "metrics.csv" in lines[0] and captured.err == ""
    assert len(again.records) == 2
    assert all(list(tensorboard.scalars(again.folder(record))) for record in again.records)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--log", "csvv"), "unknown logger 'csvv'; did you mean 'csv'?"),
        (("--loop.log", "wandbb"), "unknown logger 'wandbb'; did you mean 'wandb'?"),
        (("--log",), "argument --log: expected at least one argument"),
        (
            ("--log", "csv", "wandb"),
            "the logger wandb needs wandb: python -m pip install 'junlearn[wandb]'",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_done(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(choices, "find_spec", lambda name: None)
    assert main([*tiny_run.arguments(tmp_path), *arguments]) == 2
    assert capsys.readouterr().err == f"junlearn: {line}\n"
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache" / "models").exists()


@pytest.mark.parametrize("command", [("audit",), ("statistics", "s.npz"), ("ledger", "init", "l")])
def test_other_commands_say_that_they_log_nothing(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--log", "csv"]) == 2
    assert "--log has no place here" in capsys.readouterr().err


def test_the_extras_are_there():
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = table["project"]["optional-dependencies"]
    for name, choice in choices.LOGGERS.items():
        if choice.package is not None:
            assert any(line.startswith(choice.package) for line in extras[name])


def test_another_process_than_the_first_has_no_logger(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "is_first", lambda: False)
    experiment = schema.parse(tiny_run.CONFIG | {"loop": {"log": ["csv"]}})
    with logged.opened(experiment, tmp_path, Reporter(Terminal(quiet=True))) as log:
        assert not log
        logged.tell(log, {})
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_logs_each_point(tmp_path, monkeypatch, capsys):
    runs = stand_in.install(monkeypatch)
    arguments = tiny_run.arguments(tmp_path, sweep={"train.epochs": [1, 2]})
    del arguments[4:]
    table = json.loads((tmp_path / "tiny.json").read_text()) | {"methods": ["finetune"]}
    table["method"]["finetune"]["epochs"] = 1
    (tmp_path / "tiny.json").write_text(json.dumps(table))
    assert main(["sweep", *arguments, "--cache-dir", str(tmp_path / "cache"), *EVERY]) == 0
    files = sorted(tmp_path.glob("run/points/*/logs/metrics.csv"))
    assert len(files) == 2
    assert [run.options["group"] for run in runs] == ["run", "run"]
    assert len({run.options["id"] for run in runs}) == 2
    assert {run.options["name"] for run in runs} == {Path(f).parents[1].name for f in files}
