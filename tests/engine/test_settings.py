"""How the keywords of a run are sorted for the loop."""

import inspect
from pathlib import Path

import jax
import pytest

from junlearn.engine.checkpoint import Store
from junlearn.engine.inputs.options import RUN_OPTIONS
from junlearn.engine.run import run_stages
from junlearn.engine.settings import Placement, RunOptions, Snapshots, stage_options


def test_options_of_a_run_are_arguments_of_its_loop():
    """And all keywords that `train` and `unlearn` take are among them."""
    found = stage_options(dict.fromkeys(RunOptions.__annotations__))
    known = inspect.signature(run_stages).parameters
    assert set(found) <= set(known)
    assert set(found["placement"]) == set(found["snapshots"]) == {None}
    assert set(RUN_OPTIONS) <= set(RunOptions.__annotations__)


def test_what_is_not_said_is_as_usual():
    assert stage_options({}) == {"placement": Placement(), "snapshots": Snapshots()}
    store = Store(Path("somewhere"), None)
    options = {"seed": 3, "loop": "scan", "store": store, "save_seconds": 1.0}
    assert stage_options(options) == {
        "seed": 3,
        "placement": Placement("scan"),
        "snapshots": Snapshots(store, save_seconds=1.0),
    }


@pytest.mark.parametrize(
    ("loop", "backend", "scans"),
    [
        ("auto", "cpu", False),
        ("auto", "gpu", True),
        ("python", "gpu", False),
        ("scan", "cpu", True),
    ],
)
def test_where_steps_are_scanned(loop, backend, scans, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert Placement(loop).scans is scans
