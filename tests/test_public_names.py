"""What `import junlearn` and `--help` load: the public names are imported when they are asked for."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import junlearn

ROOT = Path(__file__).parents[1]
HEAVY = {
    *("jax", "flax", "flax.nnx", "optax", "chex", "orbax", "tyro", "rich", "msgspec", "numpy"),
    *("sklearn", "scipy", "matplotlib", "tensorflow", "tensorflow_datasets", "pyarrow", "torch"),
    *("safetensors", "xgboost"),
}


def child(program: str, *arguments: str):
    """The last line that a fresh Python printed, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_import_loads_no_library():
    loaded = child("import junlearn, sys, json; print(json.dumps([*sys.modules]))")
    assert not HEAVY & set(loaded)
    assert {m for m in loaded if m.startswith("junlearn")} == {
        *("junlearn", "junlearn.engine", "junlearn.engine.interrupts")
    }


def test_help_loads_what_the_fields_of_methods_and_models_need():
    program = """
import sys, json
from junlearn.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(json.dumps([*sys.modules]))
"""
    assert HEAVY & set(child(program, "--help")) == {
        *("jax", "flax", "optax", "chex", "tyro", "rich", "msgspec", "numpy")
    }


@pytest.mark.parametrize("name", junlearn.__all__)
def test_each_public_name(name):
    assert getattr(__import__("junlearn", fromlist=[name]), name) is getattr(junlearn, name)
    assert name in dir(junlearn)


def test_type_checkers_see_the_same_names():
    tree = ast.parse((ROOT / "junlearn" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        for alias in (node.names if isinstance(node, ast.ImportFrom) else ())
    }
    assert seen == junlearn._HOME
    assert {*seen, "__version__"} == set(junlearn.__all__)


@pytest.mark.parametrize("first", ["junlearn.train", "junlearn.api"])
def test_functions_stay_where_modules_have_their_names(first):
    program = """
import json, junlearn
import {first}
import junlearn.experiment.execute, junlearn.train
from junlearn.train import everything
print(json.dumps([type(junlearn.train).__name__, type(junlearn.run).__name__, everything.__module__]))
"""
    assert child(program.format(first=first)) == ["function", "function", "junlearn.train"]


def test_modules_are_there_and_others_are_not():
    program = "import json, junlearn; print(json.dumps(junlearn.methods.finetune.__name__))"
    assert child(program) == "junlearn.methods.finetune"
    with pytest.raises(AttributeError, match="module 'junlearn' has no attribute 'unlern'"):
        junlearn.unlern  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'junlearn.models' has no attribute 'nxx'"):
        junlearn.models.nxx  # noqa: B018
    assert junlearn.models.from_nnx.__module__ == "junlearn.models.nnx"
