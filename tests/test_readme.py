"""The README's Python runs as it stands."""

import ast
import dataclasses
import re
from pathlib import Path
from types import ModuleType

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.methods import METHODS
from junlearn.scenarios import SCENARIOS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_examples_run(number, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README example {number}", "exec"), {})
    assert "accuracy/forget_train" in capsys.readouterr().out


def test_many_models_are_as_many(capsys):
    names = {}
    exec(BLOCKS[3], names)
    assert names["outputs"].shape == (8, 200, 2)
    chex.assert_tree_all_finite(names["first"])
    printed = capsys.readouterr().out
    assert names["shadows"].how in printed and "'loss'" in printed


def test_the_file_of_a_method_is_one(mlp):
    """It needs nothing but itself, has what the conformance suite asks for, and does what it says."""
    file = ModuleType("flatten")
    exec(compile(BLOCKS[4], "flatten.py", "exec"), vars(file))
    assert set(file.__all__) == {"NEEDS", "Config", "State", "make"}
    assert issubclass(file.State, tuple)
    assert len([line for line in BLOCKS[4].splitlines() if line.strip()]) <= 70
    table = re.findall(r"^ {4}(\w+) {2,}(.+)$", file.__doc__.split("Defaults", 1)[1], re.MULTILINE)
    stated = {field: ast.literal_eval(value) for field, value in table}
    assert stated == dataclasses.asdict(file.Config())
    blind = mlp.sources["train"].x.copy()
    blind[mlp.split.retain] = np.nan
    unlabelled = mlp.sources["train"]._replace(x=blind, y=np.full(len(blind), -(10**6), np.int32))
    assert list(file.NEEDS) == ["forget.x"]
    method = file.make(file.Config(learning_rate=0.5), mlp.model)
    problem = mlp._replace(sources=mlp.sources | {"train": unlabelled})
    done = run(method, *problem, key=jax.random.key(0))
    chex.assert_tree_all_finite(done.variables)

    def confidence(variables):
        x = jnp.asarray(mlp.sources["train"].x[mlp.split.forget])
        return float(jax.nn.softmax(mlp.model.apply(variables, x)[0]).max(-1).mean())

    assert confidence(done.variables) < confidence(mlp.variables)


def test_every_method_and_scenario_has_a_row():
    for name in (*METHODS, *SCENARIOS):
        assert re.search(rf"^\| `{name}` \|", README, re.MULTILINE), name


def test_the_first_example_is_short():
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 20
    assert np.char.str_len(BLOCKS[0].splitlines()).max() <= 120
