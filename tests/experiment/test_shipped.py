"""Shipped configurations are found by their names from any folder."""

from pathlib import Path

import pytest

from junlearn.commands import sweep as sweep_command
from junlearn.experiment import schema, shipped
from junlearn.main import main
from tests.conftest import ROOT

LAF = ROOT / "configs" / "laf" / "mnist_class.toml"


@pytest.mark.parametrize(
    "name", ["laf/mnist_class", "laf/mnist_class.toml", "configs/laf/mnist_class.toml"]
)
def test_a_name_is_found(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert shipped.find(Path(name)) == LAF
    options = sweep_command.parser().parse_args(["--config", name])
    assert options.config == LAF


def test_every_configuration_has_a_name():
    files = set((ROOT / "configs").rglob("*.toml"))
    assert {shipped.find(Path(name)) for name in shipped.names()} == files


def test_a_path_that_exists_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path("laf", "mnist_class.toml")
    own.parent.mkdir()
    own.write_text("seed = 7\n")
    assert shipped.find(own) == own
    assert shipped.find(own.with_suffix("")) == LAF


def test_a_run_takes_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["--config", "ssd/cifar20_resnet18_subclass", "--help", "model"])
    model = schema.read(ROOT / "configs" / "ssd" / "cifar20_resnet18_subclass.toml")["model"][
        "name"
    ]
    assert f"model ({model}): fields" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("laf/mnist_clas", "'laf/mnist_class'?"),
        ("mnist_class", "'beyond/mnist_class' or 'camu/mnist_class' or 'jit/mnist_class'?"),
    ],
)
@pytest.mark.parametrize("command", [(), ("sweep",)])
def test_an_unknown_name_names_the_nearest(tmp_path, monkeypatch, capsys, command, name, near):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--config", name]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.endswith(f"did you mean {near}\n")
    assert f"{name}: no such file" in error


@pytest.mark.parametrize("name", ["zzz.toml", "/laf/mnist_class"])
def test_what_is_like_no_name_is_a_path(name):
    assert shipped.find(Path(name)) == Path(name)
