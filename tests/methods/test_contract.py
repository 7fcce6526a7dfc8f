"""What the rest of the package may ask of a method: the names of its module, and the fields of `Method`."""

import dataclasses

import pytest

from junlearn.methods import METHODS, laf, ssd
from junlearn.types import Method

CONTRACT = {"Config", "State", "make", "NEEDS", "SPACE"}
OPTIONAL = {"needs", "PRESETS"}
"""Looked up by name in the module of a method; all else is asked of the Method that `make` returns."""


@pytest.mark.parametrize("name", METHODS)
def test_public_names_of_a_method(name):
    """Those of the contract, and pieces of its own; a hook in the module in the place of the Method is not seen."""
    module = METHODS[name]
    public = set(module.__all__)
    assert public >= CONTRACT
    assert issubclass(module.State, tuple) and isinstance(module.NEEDS, frozenset)
    for piece in public - CONTRACT - OPTIONAL:
        assert getattr(module, piece).__module__ == module.__name__, piece
    assert not set(Method._fields) & set(vars(module))
    assert OPTIONAL & set(vars(module)) == OPTIONAL & public


@pytest.mark.parametrize("name", METHODS)
def test_what_finish_alone_reads_are_fields(name, mlp):
    module = METHODS[name]
    method = module.make(module.Config(), mlp.model)
    assert method.read_at_finish <= {field.name for field in dataclasses.fields(module.Config)}


def test_a_search_leaves_nothing_to_finish(mlp):
    config = ssd.Config(threshold="adaptive", forget_accuracy=0.5)
    assert not ssd.make(config, mlp.model).read_at_finish
    assert "alpha" in ssd.make(ssd.Config(), mlp.model).read_at_finish


def test_a_method_goes_on_from_the_stages_it_begins_with(mlp):
    plain = laf.Config(epochs=2, batch_size=16)
    repaired = dataclasses.replace(plain, repair_epochs=1, repair_learning_rate=0.5)
    assert laf.make(plain, mlp.model).beginning is None
    method = laf.make(repaired, mlp.model)
    assert method.beginning == plain
    stages = [
        [(stage.name, stage.epochs) for stage in m.plan(mlp.split)]
        for m in (laf.make(method.beginning, mlp.model), method)
    ]
    assert stages[1][: len(stages[0])] == stages[0] and len(stages[1]) == len(stages[0]) + 1
