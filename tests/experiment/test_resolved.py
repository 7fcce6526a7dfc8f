"""The declared type of an experiment is that of the classes that are made for configurations."""

import dataclasses
from typing import get_type_hints

import pytest

from junlearn.experiment import schema
from junlearn.experiment.resolved import Resolved, method_of, surrogate_of

TABLE = {
    "methods": ["ssd", "mine"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "scenario": {"name": "class"},
    "method": {"mine": {"name": "finetune"}},
}


def test_the_type_has_the_fields_of_every_experiment():
    declared = get_type_hints(Resolved)
    known = get_type_hints(schema.Experiment)
    sections = {"dataset", "model", "scenario"}
    assert set(declared) == set(known) | sections
    # Bounds such as `Fraction` are a matter of the schema: the plain type below each is the same.
    assert {n: declared[n] for n in known} == known
    experiment = schema.parse(TABLE)
    assert {name: getattr(experiment, name).name for name in sections} == {
        name: TABLE[name]["name"] for name in sections
    }


@pytest.mark.parametrize("surrogate", [{}, {"surrogate": {"name": "gaussian_noise"}}])
def test_sections_that_not_every_experiment_has(surrogate):
    experiment = schema.parse(TABLE | surrogate)
    assert dataclasses.is_dataclass(method_of(experiment, "ssd"))
    assert [method_of(experiment, label).name for label in TABLE["methods"]] == ["ssd", "finetune"]
    found = surrogate_of(experiment)
    assert found is None if not surrogate else found.name == "gaussian_noise"
