"""Requests that are chosen by a score of each example: groups, parts and classes, and what is refused."""

import jax
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.scenarios import SCENARIOS, ranking
from tests.scenarios.test_scenarios import assert_partition, dataset

SCORES = np.array([0.1, 0.9, 0.5, 0.5, 0.0, 0.7, 0.45, 0.9, 0.2, 0.3, 0.6, 0.54])
DATA = dataset([0, 1, 2, 3] * 3, [0, 1, 2])


def split(name, scores=SCORES, **fields):
    scenario = SCENARIOS[name]
    made = scenario.make(scenario.Config(**fields), DATA, jax.random.key(0), scores)
    assert_partition(made, 12, 3)
    return made


def test_groups_of_memorisation():
    def forgotten(group, size=3, **fields):
        return split("memorised", group=group, size=size, **fields).forget.tolist()

    assert forgotten("high") == [1, 5, 7] and forgotten("low") == [0, 4, 8]
    assert forgotten("medium") == [2, 3, 11]
    assert forgotten("mix", 6) == [0, 1, 2, 3, 4, 7]
    # A proxy has its middle at the median, memorisation at 0.5, wherever the scores are.
    far = SCORES + 10
    assert split("memorised", far, size=2, group="medium", score="entropy").forget.tolist() == [
        2,
        3,
    ]
    assert split("memorised", far, size=2, group="medium").forget.tolist() == [0, 4]


def test_equal_scores_are_taken_in_order():
    same = np.zeros(5)
    assert ranking.group(same, "high", 2).tolist() == [0, 1]
    assert ranking.group(same, "low", 2).tolist() == [3, 4]


def test_parts_by_distance():
    wanted = split("entangled", size=4, divisions=5, parts=(1, 4))
    rising = np.argsort(SCORES, kind="stable")[:10].reshape(5, 2)
    assert wanted.forget.tolist() == sorted([*rising[1], *rising[4]])
    many = np.linspace(0, 1, 45)
    for group, first in (("low", 9), ("medium", 36), ("high", 42)):
        data = dataset([0] * 45, [0])
        scenario = SCENARIOS["entangled"]
        config = scenario.Config(size=2, group=group)
        found = scenario.make(config, data, jax.random.key(0), many)
        assert found.forget.tolist() == [first, first + 1]


def test_the_worst_case_of_examples_and_of_classes():
    assert split("worst_case", size=2).forget.tolist() == [1, 7]
    of_class = np.array([0.2, 0.9, 0.1, 0.8])[[0, 1, 2, 3] * 3]
    found = split("worst_case", of_class, size=2, level="classes")
    assert found.classes == (1, 3) and found.forget.tolist() == [1, 3, 5, 7, 9, 11]
    assert found.forget_test.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("memorised", {"size": 12}, "size is 12, and the training set has 12 examples"),
        ("memorised", {"size": 4, "group": "mix"}, "so a multiple of 3"),
        (
            "memorised",
            {"size": 9, "group": "mix", "scores": np.zeros(12)},
            "have examples in common",
        ),
        ("entangled", {"size": 2, "divisions": 5}, "of 15 or of 100; give parts"),
        ("entangled", {"size": 2}, "12 examples do not make 15 parts"),
        ("entangled", {"size": 3, "divisions": 5, "parts": (0, 1)}, "so a multiple of 2"),
        ("entangled", {"size": 3, "divisions": 5, "parts": (0,)}, "have 2$"),
        ("entangled", {"size": 2, "divisions": 5, "parts": (5,)}, "no part 5 of 5"),
        ("entangled", {"size": 2, "divisions": 5, "parts": (1, 1)}, "several different ones"),
        ("worst_case", {"size": 12}, "size is 12, and there are 12 examples"),
        ("worst_case", {"size": 4, "level": "classes"}, "there are 4 classes"),
    ],
)
def test_what_cannot_be_is_refused(name, fields, says):
    with pytest.raises(ConfigError, match=says):
        split(name, **fields)
    empty = SCENARIOS["memorised"].Config(scores="")
    with pytest.raises(ConfigError, match="the path of a file"):
        SCENARIOS["memorised"].scoring(empty)
