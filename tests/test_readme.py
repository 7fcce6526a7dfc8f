"""The README's Python runs as it stands."""

import re
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn import feeds, losses
from junlearn.descent import descend, start
from junlearn.methods import METHODS
from junlearn.optimizers import Optimizer, transformation
from junlearn.run import run
from junlearn.scenarios import SCENARIOS
from junlearn.types import Method, Stage, Variables

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", [0, 1])
def test_examples_run(number, capsys):
    exec(compile(BLOCKS[number], f"README example {number}", "exec"), {})
    assert "accuracy/forget_train" in capsys.readouterr().out


def test_many_models_are_as_many(capsys):
    names = {}
    exec(BLOCKS[2], names)
    assert names["outputs"].shape == (8, 200, 2)
    chex.assert_tree_all_finite(names["first"])
    printed = capsys.readouterr().out
    assert names["shadows"].how in printed and "'loss'" in printed


def test_the_method_in_a_dozen_lines_is_one(mlp):
    names = {
        "descend": descend,
        "start": start,
        "transformation": transformation,
        "feeds": feeds,
        "losses": losses,
        "jax": jax,
        "Method": Method,
        "Stage": Stage,
        "Variables": Variables,
    }
    exec(BLOCKS[3], names)
    assert len([line for line in BLOCKS[3].splitlines() if line.strip()]) <= 12
    config = Optimizer(learning_rate=0.5)
    done = run(names["make"](config, mlp.model), *mlp, key=jax.random.key(0))
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
