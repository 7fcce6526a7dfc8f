"""A method's filled Config in the place of its name and fields."""

import dataclasses
import types

import chex
import numpy as np
import pytest

import junlearn
from junlearn.experiment.configured import configured
from junlearn.methods import METHODS, finetune, scrub
from tests.door import BOTH, KEY, MODEL, SPLIT, refused


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_found_by_its_config(name):
    module = METHODS[name]
    found = configured(module.Config(), {})
    assert found == (name, module, module.Config()) == configured(module, {})


def test_it_does_what_name_and_fields_do():
    given = (MODEL, MODEL.fresh(KEY, BOTH), BOTH, SPLIT)
    filled = junlearn.unlearn(*given, finetune.Config(epochs=1, batch_size=8), key=0, seed=2)
    named = junlearn.unlearn(*given, method="finetune", key=0, seed=2, epochs=1, batch_size=8)
    chex.assert_trees_all_equal(filled.variables, named.variables)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own:
    """Settings of somebody's method that is no module."""

    strength: float = 1.0


def test_methods_of_other_people(own_names):
    refused("Config of no method: register it first", configured, Own(), {})
    method = types.SimpleNamespace(Config=Own, make=lambda config, model: None, NEEDS=())
    junlearn.register("method", method, "mine")
    found = configured(Own(strength=2.0), {})
    assert (found.name, found.settings.strength) == ("mine", 2.0) and found.thing is method


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (
            scrub.Config(alpha=1),
            {"alpha": 2},
            r"scrub: alpha beside a Config: set it in scrub.Config",
        ),
        (scrub.Config(alpha=-1.0), {}, "scrub.alpha: "),
        (scrub.Config(alpha=np.zeros(3)), {}, "scrub.alpha: "),
        (junlearn.methods.retrain.Config, {}, "Config"),
    ],
)
def test_mistakes(config, options, message):
    given = (MODEL, MODEL.fresh(KEY, BOTH), BOTH, SPLIT)
    refused(message, junlearn.unlearn, *given, config, key=0, **options)
