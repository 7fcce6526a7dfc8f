"""What a search may try of each method: inside of it every point makes a method; a promise is no part of it."""

import dataclasses
import typing

import numpy as np
import pytest

from junlearn.methods import METHODS
from junlearn.plugins import registry
from junlearn.testing import quick
from junlearn.types import Choice
from tests.methods.subjects import PROBLEMS, SETTINGS, subject_of

FIXED = {"naive", "retrain", "rum", "unrolling"}
"""Methods of which nothing is searched: their files say why."""
PROMISE = {"epsilon", "delta"}
"""Of a method that has both."""
NAMES = [*METHODS, *registry.PRESETS]


def drawn(space, rng):
    """A point of a space."""
    point = {}
    for name, tried in space.items():
        if isinstance(tried, Choice):
            point[name] = tried.values[rng.integers(len(tried.values))]
            continue
        low, high = tried.low, tried.high
        value = low * (high / low) ** rng.random() if tried.log else rng.uniform(low, high)
        point[name] = round(value) if tried.whole else float(value)
    return point


def test_which_methods_have_one():
    assert {name for name in METHODS if not registry.space_of(name)} == FIXED
    assert all(len(registry.space_of(name)) <= 5 for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_searched_are_numbers_and_no_promises(name):
    config = registry.find("method", name).Config
    types = typing.get_type_hints(config)
    for field in registry.space_of(name):
        kinds = {types[field], *typing.get_args(types[field])}
        assert kinds & {int, float}
        assert field not in PROMISE or not set(types) >= PROMISE


@pytest.mark.parametrize("name", NAMES)
def test_points_within_make_a_method(name):
    method, preset = registry.proper("method", name), registry.preset(name)
    subject = subject_of(method)
    base = subject.config
    if preset:
        base = quick(METHODS[method].Config, **{**SETTINGS.get(method, {}), **preset})
    rng = np.random.default_rng(0)
    problem = PROBLEMS.get(method, subject.dense)
    for _ in range(4):
        point = drawn(registry.space_of(name), rng)
        config = dataclasses.replace(base, **point)
        assert METHODS[method].make(config, problem.model).plan(problem.split) is not None
