"""Every file in configs/: what it says at its head is how to run it, it parses, and all its methods can be made."""

import pytest

from junlearn.experiment import schema, sweep
from junlearn.methods import build
from junlearn.models import MODELS
from tests.conftest import ROOT

FILES = sorted((ROOT / "configs").rglob("*.toml"))
# Any will do: the sizes of images that a configuration does not name come from the data.
CLASSES, INPUT_SHAPE = 10, (32, 32, 3)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_configuration_can_be_run_and_names_itself(path):
    table = schema.read(path)
    if "sweep" in table:
        experiment = sweep.expand(table)[0].experiment
    else:
        experiment = schema.parse(table)
    assert experiment.methods
    model = MODELS[experiment.model.name].make(experiment.model, CLASSES, INPUT_SHAPE)
    for label in experiment.methods:
        chosen = getattr(experiment.method, label)
        build(chosen.name, chosen, model)
    head = path.read_text().split("\n\nmethods")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    command = next(
        (f"main {name} --config" for name in ("sweep", "audit", "search") if name in table),
        "main --config",
    )
    if path.parent.name == "ledger":
        command = "main ledger init orders --config"
    assert f"{command} {path.relative_to(ROOT)}" in head
    assert "xpected" in head or "Numbers of the released code" in head
