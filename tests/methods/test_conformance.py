"""What every registered method must do. A new method is in all of these by being in METHODS."""

import chex
import pytest

from junlearn.engine import checkpoint
from junlearn.methods import METHODS
from junlearn.testing import CHECKS, NotApplicable
from tests.methods.subjects import NAMES, SETTINGS, subject_of

LACKING = {
    *("the plan has no stages", "no stage is fed any rows", "no pass in train mode"),
    "SPACE names no field: there is nothing to search",
}
"""Why a check may have nothing to look at in a method of the package."""


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_conforms(name, check):
    try:
        check(subject_of(name))
    except NotApplicable as reason:
        assert str(reason) in LACKING


@pytest.mark.parametrize("name", NAMES)
def test_times_are_told(name):
    subject = subject_of(name)
    done = subject.plain(subject.dense).result
    assert done.seconds["total"] >= done.seconds["run"]
    assert (done.seconds["run"] > 0) == bool(
        subject.method(subject.dense).plan(subject.dense.split)
    )


def test_settings_are_those_of_methods():
    assert set(SETTINGS) <= set(METHODS)


def test_without_stages_nothing_changes(tmp_path):
    subject = subject_of("naive")
    assert subject.method(subject.dense).plan(subject.dense.split) == []
    store = checkpoint.Store(tmp_path / "run", owner="naive")
    for _ in range(2):
        done = subject.run(subject.dense, store=store, save_seconds=0)
        chex.assert_trees_all_equal(done.variables, subject.dense.variables)
        assert done.history == [] and done.seconds["run"] == 0 < done.seconds["total"]
