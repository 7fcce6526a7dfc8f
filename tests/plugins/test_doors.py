"""Code of somebody else in configurations, on the command line and in Python."""

import json
import os
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest

import junlearn
from junlearn.errors import ConfigError
from junlearn.main import main
from junlearn.methods import finetune
from junlearn.plugins import loading
from tests.plugins.sources import METHOD


def run(*arguments):
    assert main([*arguments, "--cache-dir", "cache"]) == 0
    return [json.loads(line) for line in Path("w", "records.jsonl").read_text().splitlines()]


def started(folder, capsys):
    """How often the method was trained, by the line that says how long."""
    return capsys.readouterr().out.count("mine: 0.")


def test_a_file_in_a_configuration(folder, capsys, monkeypatch):
    records = run("--config", "run.toml", "--workdir", "w")
    assert [record["method"] for record in records] == ["original", "mine"]
    section = records[1]["config"]["method"]["mine"]
    assert section["file"] == str(folder / "my_method.py") and section["name"] == "my_method"
    assert started(folder, capsys) == 1
    # From another directory, and from the configuration that the run left.
    monkeypatch.chdir("w")
    assert main(["--config", "../run.toml", "--workdir", ".", "--cache-dir", "../cache"]) == 0
    assert main(["--config", "config.json", "--workdir", ".", "--cache-dir", "../cache"]) == 0
    monkeypatch.chdir(folder)
    assert started(folder, capsys) == 0

    changed = METHOD.replace("epochs: int = 1", "epochs: int = 2")
    (folder / "my_method.py").write_text(changed)
    again = run("--config", "run.toml", "--workdir", "w")
    assert started(folder, capsys) == 1
    assert len(again) == 3 and again[-1]["config_hash"] != records[1]["config_hash"]
    # The same content elsewhere is the same method.
    (folder / "my_method.py").rename(folder / "elsewhere.py")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere.py").rename(folder / "elsewhere" / "my_method.py")
    more = ("--method.mine.file", "elsewhere/my_method.py")
    capsys.readouterr()
    assert len(run("--config", "run.toml", "--workdir", "w", *more)) == 3
    assert "kept" not in capsys.readouterr().out


def test_all_kinds_at_once_from_the_command_line(folder, capsys):
    options = {
        "--plugin": "several.py",
        "--dataset.name": "my_digits",
        "--model.name": "tiny",
        "--model.hidden": "8",
        "--scenario.name": "first_rows",
        "--scenario.count": "12",
        "--metric.my_metric.file": "my_metric.py",
        "--method.mine.rate": "0.1",
    }
    words = [word for pair in options.items() for word in pair]
    words += ["--metrics", "accuracy", "largest", "my_metric"]
    _, mine = run("--config", "run.toml", "--workdir", "w", *words)
    assert (mine["dataset"], mine["model"], mine["scenario"]) == ("my_digits", "tiny", "first_rows")
    assert np.isfinite([mine["metrics"]["largest"], mine["metrics"]["my_metric/sure"]]).all()
    assert mine["config"]["plugins"] == [str(folder / "several.py")]
    capsys.readouterr()
    assert main(["--config", "w/config.json", "--workdir", "w", "--cache-dir", "cache"]) == 0
    assert started(folder, capsys) == 0


def test_a_changed_metric_is_computed_anew(folder, capsys):
    more = ("--metric.my_metric.file", "my_metric.py", "--metrics", "my_metric")
    before = run("--config", "run.toml", "--workdir", "w", *more)
    text = (folder / "my_metric.py").read_text()
    (folder / "my_metric.py").write_text(text.replace(".max(1)", ".min(1)"))
    after = run("--config", "run.toml", "--workdir", "w", *more)
    name = "my_metric/sure"
    assert len(after) == 4 and after[2]["metrics"][name] < before[0]["metrics"][name]
    assert name in capsys.readouterr().out


def test_a_scenario_and_a_surrogate_from_files(folder):
    (folder / "mine.py").write_text(
        "from junlearn.datasets import digits\nConfig = digits.Config\nmake = digits.make\n"
    )
    more = ("--scenario.file", "my_scenario.py", "--scenario.start", "1")
    records = run("--config", "run.toml", "--workdir", "w", *more, "--surrogate.file", "mine.py")
    assert records[1]["scenario"] == "my_scenario"
    assert records[1]["config"]["surrogate"]["file"] == str(folder / "mine.py")


def test_the_file_of_a_request_is_still_a_field(folder):
    """The scenario `rows` has a field of that name."""
    (folder / "request.txt").write_text("3\n5\n")
    more = ("--scenario.name", "rows", "--scenario.file", "request.txt")
    records = run("--config", "run.toml", "--workdir", "w", *more)
    assert records[1]["config"]["scenario"]["file"] == "request.txt"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method.mine.file", "nope.py"), "cannot read the plug-in"),
        (("--method.mine.file",), "--method.mine.file: the file of a plug-in is missing"),
        (("--method.mine.module", "not_there.at_all"), "cannot be imported: ModuleNotFoundError"),
        (("--method.mine.module", "a b"), "is no name of a module"),
        (("--method.mine.file", "run.toml"), "is no Python file"),
        (("--method.mine.file", "several.py"), "is no method: it has no Config"),
        (("--model.file", "my_method.py"), "is no model: its make is not make(config, num_classes"),
        (("--plugin", "run.toml"), "is no Python file"),
        (("--plugin", "empty.py"), "offers nothing"),
        (("--method.mine.epoch", "2"), "did you mean '--method.mine.epochs'"),
        (("--metrics", "accuracy", "largest"), "unknown metric 'largest'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(folder, capsys, arguments, message):
    (folder / "empty.py").write_text("")
    assert main(["--config", "run.toml", "--workdir", "w", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not (folder / "w").exists()


def test_a_sweep_over_somebody_elses_method(folder, capsys):
    text = (folder / "run.toml").read_text()
    (folder / "sweep.toml").write_text(text + "\n[sweep.method.mine]\nrate = [0.1, 0.2]\n")
    assert main(["sweep", "--config", "sweep.toml", "--workdir", "w", "--cache-dir", "cache"]) == 0
    lines = Path("w").rglob("records.jsonl")
    records = [json.loads(line) for file in lines for line in file.read_text().splitlines()]
    rates = [r["config"]["method"][r["method"]]["rate"] for r in records if r["role"] == "unlearn"]
    assert sorted(rates) == [0.1, 0.2]


def test_lists_say_where_names_come_from(folder, capsys):
    assert main(["list", "scenarios", "--plugin", "several.py"]) == 0
    assert "[file several.py]" in " ".join(capsys.readouterr().out.split())
    assert main(["list", "method", "ssd"]) == 0
    out = capsys.readouterr().out
    assert "presets, used by their names" in out and "\n  potion" in out
    assert main(["list", "method", "potion", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    fields = {field["name"]: field["default"] for field in page["fields"]}
    assert (page["of"], page["origin"], fields["loss"]) == ("ssd", "junlearn", "norm")
    assert main(["list", "methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    ssd = next(i for i, line in enumerate(lines) if line.startswith("  ssd "))
    assert any(line.startswith("    potion ") for line in lines[ssd : ssd + 16])


def test_things_in_python(mlp):
    mine = types.SimpleNamespace(Config=finetune.Config, make=finetune.make, NEEDS=finetune.NEEDS)
    common = (mlp.model, mlp.variables, mlp.sources, mlp.split)
    options = {"key": jax.random.key(1), "epochs": 1, "batch_size": 16}
    by_name = junlearn.unlearn(*common, method="finetune", **options)
    by_object = junlearn.unlearn(*common, method=mine, **options)
    same = jax.tree.map(np.array_equal, by_name.variables, by_object.variables)
    assert all(jax.tree.leaves(same))

    def largest(context):
        return {"largest": float(context.model.logits["forget_train"].max())}

    values = junlearn.evaluate(*common, metrics=["accuracy", largest])
    assert set(values) > {"largest", "accuracy/test"}
    assert junlearn.evaluate(*common, metrics=largest) == {"largest": values["largest"]}
    for metrics in ([largest, largest], [3], 3):
        with pytest.raises(ConfigError, match="metric"):
            junlearn.evaluate(*common, metrics=metrics)
    for method in (3, None, object(), "ssdd", types.SimpleNamespace(Config=finetune.Config)):
        with pytest.raises(ConfigError, match="method"):
            junlearn.unlearn(*common, method=method, key=0)


def test_a_preset_in_python(mlp):
    common = (mlp.model, mlp.variables, mlp.sources, mlp.split)
    fields = {"batch_size": 16, "key": 0}
    preset = junlearn.unlearn(*common, method="assd", **fields)
    written = junlearn.unlearn(
        *common, method="ssd", importance="batch", threshold="adaptive", **fields
    )
    same = jax.tree.map(np.array_equal, preset.variables, written.variables)
    assert all(jax.tree.leaves(same))


def test_a_file_is_loaded_once_until_it_changes(folder):
    first = loading.load_file(folder / "my_method.py")
    assert loading.load_file(Path("my_method.py")) is first
    (folder / "my_method.py").write_text(METHOD + "\n# more\n")
    assert loading.load_file(folder / "my_method.py") is not first


def test_a_change_of_the_same_size_within_a_second_is_seen(folder, monkeypatch):
    """Where Python keeps byte code, it tells files by their size and second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = folder / "number.py"
    for number in (1, 2):
        path.write_text(f"number = {number}\n")
        os.utime(path, (0, 0))
        assert loading.load_file(path).number == number


def test_records_of_presets_and_objects(mlp, folder):
    """A preset is recorded as the fields that it stands for, an object with the digest of its code."""
    given = ({"accuracy/test": 0.5}, mlp.sources, mlp.split)
    names = {"dataset": "mine", "model": "mlp", "key": 0}
    preset = junlearn.write_record("r.jsonl", *given, "assd", **names)
    written = {"importance": "batch", "threshold": "adaptive"}
    assert preset["config"]["method"]["assd"].items() >= {"name": "ssd", **written}.items()
    mine = loading.load_file(folder / "my_method.py")
    record = junlearn.write_record("r.jsonl", *given, mine, **names, rate=0.1)
    (section,) = record["config"]["method"].values()
    assert section["rate"] == 0.1 and len(section["source"]) == 16
