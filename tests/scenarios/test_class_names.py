"""Which class a number or a name means."""

import unicodedata

import jax
import numpy as np
import pytest

from junlearn import cli
from junlearn.errors import ConfigError
from junlearn.scenarios import SCENARIOS
from junlearn.scenarios.class_names import resolve
from junlearn.scenarios.remarks import meanings
from junlearn.types import Data, Dataset

ANIMALS = ("ant", "bee", "cat")
NUMBERS = ("2", "5", "7")


@pytest.mark.parametrize(
    ("value", "names", "position"),
    [
        (2, NUMBERS, 0),
        ("2", NUMBERS, 0),
        ("2.0", NUMBERS, 0),
        ("02", NUMBERS, 0),
        (7, NUMBERS, 2),
        (2, ANIMALS, 2),
        ("2", ANIMALS, 2),
        (" bee ", ANIMALS, 1),
        (1980, ("1970", "1980", "1990"), 1),
        (2, ("02", "2"), 1),
        ("02", ("02", "2"), 0),
        (2, ("01", "02", "03"), 1),
        (-1, ("-1", "+1"), 0),
        (1, ("-1", "+1"), 1),
        (0, ("1", "0"), 1),
        (3, tuple("0123456789"), 3),
        ("café", (unicodedata.normalize("NFD", "café"), "tea"), 0),
        ("7.5", ("7", "7.5"), 1),
        (1, ("cat", "1", "dog"), 1),
    ],
)
def test_a_name_comes_before_a_position(value, names, position):
    assert resolve((value,), names, "class") == (position,)


@pytest.mark.parametrize(
    ("value", "names", "message"),
    [
        (1, NUMBERS, "class 1 does not exist: names are numbers here.*'2', '5', '7'"),
        (0, NUMBERS, "class 0 does not exist"),
        ("1", ("cat", "2", "dog"), "names are numbers here"),
        (2, ("02", "2.0"), "class '2' can mean any of '02', '2.0'"),
        ("+5", ("5.0", "05"), "can mean any of"),
        (3, ANIMALS, r"the dataset has 3 \(0 to 2\)"),
        ("-1", ANIMALS, "class -1 does not exist"),
        ("1.5", ANIMALS, "class 1.5 does not exist"),
        (10, tuple("0123456789"), r"has 10 \(0 to 9\)"),
        ("9" * 39, ANIMALS, "does not exist"),
        ("Bee", ANIMALS, "did you mean 'bee'"),
    ],
)
def test_a_number_that_means_no_class_or_several(value, names, message):
    with pytest.raises(ConfigError, match=message):
        resolve((value,), names, "class")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2", 2),
        ("-1", -1),
        *((text, text) for text in ("02", "2.0", "1_0", "+1", "-0", "ant", "１")),
    ],
)
def test_the_command_line_keeps_a_number_as_it_was_written(given, kept):
    arguments = ["--scenario.name", "class", "--methods", "naive", "--scenario.classes", given]
    experiment = cli.experiment(*cli.split_arguments(arguments))
    assert experiment.scenario.classes == (kept,)


def data(names=NUMBERS):
    y = np.int32([0, 1, 1, 2, 2, 2, 1, 0])
    train = Data(np.zeros((8, 4, 4, 1), np.uint8), y, None, y)
    return Dataset("d", "1", "f", {"train": train, "test": train}, {}, names, names)


SEVEN = 'class "7" (row 2): 3 examples'


@pytest.mark.parametrize(
    ("name", "fields", "lines"),
    [
        ("class", {"classes": (5,)}, ['class "5" (row 1): 3 examples']),
        ("class", {"classes": ("2", 7)}, ['class "2" (row 0): 2 examples, class "7" (row 2): 3 examples']),
        ("subclass", {"subclasses": (7,)}, ['sub-class "7" (row 2): 3 examples']),
        ("noisy_labels", {"classes": (2,), "fraction": 0.5}, ['class "2" (row 0): 2 examples']),
        ("interclass_confusion", {"classes": (5, 7), "manipulated": 2}, ['class "5" (row 1): 3 examples, ' + SEVEN]),
        ("random", {"count": 1}, []),
        ("random_swap", {"manipulated": 2}, []),
    ],
)  # fmt: skip
def test_the_output_says_which_class_was_meant(name, fields, lines):
    scenario = SCENARIOS[name]
    config = scenario.Config(**fields)
    made = scenario.make(config, data(), jax.random.key(0))
    changed = made[0] if scenario.manipulates else data()
    assert list(meanings(config, changed)) == lines


def test_the_target_of_a_trigger_is_said():
    config = SCENARIOS["poisoning"].Config(target=2)
    assert list(meanings(config, data())) == ['target: class "2" (row 0): 2 examples']
