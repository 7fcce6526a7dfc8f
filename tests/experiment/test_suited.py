"""A method that refuses a network does so before anything is trained, in every command that trains."""

import json

import jax
import pytest

from junlearn.main import main
from junlearn.methods import METHODS
from junlearn.models import MODELS
from tests import tiny_run

NORMED = {"name": "small_cnn"}
STATISTICS = "the network has running statistics (BatchNorm)"
CLAIM = {"std": 0.5, "distance": 0.1, "epsilon": 1.0, "delta": 1e-5}


def configuration(directory, method, model, **changes):
    section = {"methods": [method.pop("name")], "model": model}
    section |= {"method": {section["methods"][0]: method}}
    arguments = tiny_run.arguments(directory, **section, **changes)
    return arguments[:2], arguments[2:]


def refused(directory, capsys, arguments):
    """The line that a command ends with; there is no network, and no folder of a run."""
    assert main(arguments) == 2
    assert not (directory / "cache" / "models").exists() and not (directory / "run").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "model", "said"),
    [
        ({"name": "noisy_finetune", "noisy_steps": 2}, NORMED, f"noisy_finetune: {STATISTICS}"),
        ({"name": "output_perturbation"}, NORMED, f"output_perturbation: {STATISTICS}"),
        ({"name": "certified_newton", **CLAIM}, NORMED, f"certified_newton: {STATISTICS}"),
        ({"name": "langevin"}, NORMED, f"langevin: {STATISTICS}"),
        ({"name": "langevin"}, {"name": "mlp", "hidden": [8]}, "langevin: the certificate is for"),
        (
            {"name": "rum", "parts": ["finetune", "output_perturbation"]},
            NORMED,
            f"output_perturbation: {STATISTICS}",
        ),
    ],
    ids=lambda value: value.get("name") if isinstance(value, dict) else None,
)
def test_a_run(method, model, said, tmp_path, capsys):
    config, places = configuration(tmp_path, dict(method), model)
    assert said in refused(tmp_path, capsys, [*config, *places])


@pytest.mark.parametrize("command", ["sweep", "audit", "ledger"])
def test_other_commands(command, tmp_path, capsys):
    """Of a sweep before its first point, which could be run."""
    method = {"name": "output_perturbation"}
    config, places = configuration(tmp_path, method, NORMED)
    if command == "sweep":
        table = json.loads((tmp_path / "tiny.json").read_text())
        axis = [{"name": "mlp"}, NORMED]
        (tmp_path / "tiny.json").write_text(json.dumps(table | {"sweep": {"model": axis}}))
    if command == "ledger":
        places = places[2:]
        config = ["init", str(tmp_path / "run"), *config]
    assert STATISTICS in refused(tmp_path, capsys, [command, *config, *places])


def test_a_claim_that_is_not_made_asks_nothing():
    """A Newton step without a certificate takes every network; most methods do not ask at all."""
    model = MODELS["small_cnn"].make(MODELS["small_cnn"].Config(), 3, (8, 8, 1))
    x = jax.numpy.zeros((1, 8, 8, 1))
    thing = METHODS["certified_newton"]
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    assert thing.make(thing.Config(), model).fits(shapes, x) is None
    thing = METHODS["finetune"]
    assert thing.make(thing.Config(), model).fits is None
