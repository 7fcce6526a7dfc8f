"""What a search may try: found by every name of a method, and a mistake in it is one line."""

import types
from dataclasses import dataclass
from typing import Literal

import pytest

import junlearn
from junlearn.errors import ConfigError
from junlearn.fields import Fraction, Positive
from junlearn.methods import finetune, ssd, wood_fisher
from junlearn.plugins import registry
from junlearn.plugins.spaces import checked_space
from junlearn.types import Choice, Range
from tests.plugins.sources import METHOD


@dataclass(frozen=True, kw_only=True)
class Config:
    learning_rate: Positive = 0.1
    epochs: int = 2
    share: Fraction | None = None
    mode: Literal["a", "b"] = "a"

    def __post_init__(self):
        if self.epochs == 13:
            raise ValueError("thirteen brings bad luck")


RIGHT = {
    "learning_rate": Range(1e-4, 1, log=True),
    "epochs": Range(1, 9, step=2),
    "share": Choice((None, 0.5)),
    "mode": Choice(["a", "b"]),
}


def own(**parts):
    return types.SimpleNamespace(
        **{"Config": finetune.Config, "make": finetune.make, "NEEDS": finetune.NEEDS, **parts}
    )


def test_a_right_one_is_returned():
    assert checked_space(RIGHT, Config, "mine") is RIGHT
    assert RIGHT["epochs"].whole and not Range(1.0, 2.0).whole


@pytest.mark.parametrize(
    ("space", "line"),
    [
        (["epochs"], "SPACE is a mapping from fields of Config to Range or Choice, got ['epochs']"),
        ({"learning_rat": Range(1, 2)}, "unknown field 'learning_rat'; did you mean 'learning_r"),
        ({3: Range(1, 2)}, "unknown field 3; known: epochs, learning_rate, mode, share"),
        ({"epochs": (1, 2)}, "epochs: Range or Choice is wanted, got (1, 2)"),
        ({"epochs": Range(3, 2)}, "epochs: low is 3, above high, which is 2"),
        ({"epochs": Range("1", 2)}, "epochs: Range wants numbers, got ('1', 2, False, None)"),
        ({"epochs": Range(True, 2)}, "epochs: Range wants numbers, got (True, 2, False, None)"),
        ({"share": Range(0.0, float("nan"))}, "share: Range wants finite numbers, got (0.0, nan"),
        ({"share": Range(0, 1, log=True)}, "a range with log=True begins above 0; low is 0"),
        ({"share": Range(0.1, 1, log=True, step=0.1)}, "a range has log=True or a step, not both"),
        ({"share": Range(0.1, 1, step=0)}, "share: step is 0; a number above 0 is allowed"),
        ({"epochs": Range(1, 9, step=0.5)}, "step is 0.5; a whole number above 0 is allowed"),
        ({"epochs": Range(1.0, 2.0)}, "epochs: 1.0 is refused: Expected `int`, got `float`"),
        ({"epochs": Range(1, 13)}, "epochs: 13 is refused: thirteen brings bad luck"),
        ({"learning_rate": Range(0.0, 1.0)}, "learning_rate: 0.0 is refused: Expected `float` > "),
        ({"share": Range(0.5, 1.5)}, "share: 1.5 is refused: Expected `float` <= 1"),
        ({"mode": Choice(("a", "c"))}, "mode: 'c' is refused: Invalid enum value 'c'"),
        ({"mode": Choice(())}, "mode: Choice wants a tuple of values, one at least"),
        ({"mode": Choice("ab")}, "mode: Choice wants a tuple of values, one at least"),
    ],
)
def test_mistakes(space, line):
    with pytest.raises(ConfigError) as error:
        checked_space(space, Config, "method mine")
    told = str(error.value)
    assert told.startswith("method mine: SPACE") and line in told and "\n" not in told


def test_the_space_of_a_name_and_of_an_object():
    assert registry.space_of("ssd") is ssd.SPACE
    assert registry.space_of(ssd) is ssd.SPACE
    assert registry.space_of(own()) == {}
    space = {"epochs": Range(1, 3)}
    mine = own(SPACE=space)
    assert registry.space_of(mine) is space
    junlearn.register("method", mine, "mine")
    assert registry.space_of("mine") is space


def test_the_space_of_a_preset():
    """That of its method without what the preset sets, or its own."""
    method = registry.space_of("lotus")
    assert registry.space_of("lotus_class") == {k: v for k, v in method.items() if k != "alpha"}
    assert registry.space_of("ssd_released") == ssd.SPACE
    assert set(registry.space_of("potion")) == {"forget_accuracy", "dampening"}
    own_space = wood_fisher.PRESETS["wood_fisher_released"].space
    assert registry.space_of("wood_fisher_released") is own_space


def test_a_wrong_space_is_told_where_the_method_is_taken(tmp_path):
    wrong = own(SPACE={"epoch": Range(1, 3)})
    line = r"SPACE: unknown field 'epoch'; did you mean 'epochs'\?"
    with pytest.raises(ConfigError, match=f"^method SimpleNamespace: {line}"):
        registry.space_of(wrong)
    with pytest.raises(ConfigError, match=f"^the method mine_too: {line}"):
        junlearn.register("method", wrong, "mine_too")
    file = tmp_path / "my_method.py"
    file.write_text(
        METHOD.replace("\n\nNEEDS", "\nfrom junlearn.types import Range\n\nNEEDS")
        + 'SPACE = {"rate": Range(1, 0)}\n'
    )
    with pytest.raises(ConfigError, match=r"my_method\.py: SPACE: rate: low is 1, above high"):
        registry.load("method", {"file": str(file)})


def test_a_name_that_there_is_not():
    with pytest.raises(ConfigError, match="unknown method 'sdd'; did you mean 'ssd'"):
        registry.space_of("sdd")
