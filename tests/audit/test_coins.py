"""The coins of the design "random": balanced in blocks, independent of what comes later."""

import numpy as np
import pytest

from junlearn.audit import coins
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import BLOCK

TARGETS = np.arange(0, 120, 3)


@pytest.fixture
def drawn():
    return coins.draw(TARGETS, 32, 2, seed=5)


def test_every_target_is_in_half_of_the_runs_of_every_block(drawn):
    blocks = drawn.included.reshape(-1, BLOCK, len(TARGETS))
    assert (blocks.sum(axis=1) == BLOCK // 2).all()
    assert len({block.tobytes() for block in blocks}) == len(blocks)


@pytest.mark.parametrize("sets", [1, 2, 3])
def test_groups_are_shared_out_evenly_among_either_kind(sets):
    found = coins.draw(TARGETS, 32, sets, seed=2)
    for kind in (found.included, ~found.included):
        for group in range(sets):
            here = (kind & (found.group == group)).reshape(-1, BLOCK, len(TARGETS)).sum(axis=1)
            assert set(np.unique(here)) <= {BLOCK // 2 // sets, -(-(BLOCK // 2) // sets)}
    assert len({tuple(row) for row in found.group.tolist()}) == (1 if sets == 1 else 32)


def test_more_runs_change_none_that_are_there(drawn):
    more = coins.draw(TARGETS, 64, 2, seed=5)
    np.testing.assert_array_equal(more.included[:32], drawn.included)
    np.testing.assert_array_equal(more.group[:32], drawn.group)


def test_a_run_and_its_requests_fit_together(drawn):
    size, tests = 130, 7
    for run in (0, 31):
        rows = coins.training_rows(drawn, run, size)
        left_out = np.setdiff1d(np.arange(size), rows)
        np.testing.assert_array_equal(left_out, TARGETS[~drawn.included[run]])
        forgotten = []
        for number in range(2):
            split = coins.request(drawn, run, number, size, tests)
            assert len(split.forget)
            np.testing.assert_array_equal(np.union1d(split.forget, split.retain), rows)
            assert not np.intersect1d(split.forget, split.retain).size
            forgotten.append(split.forget)
        np.testing.assert_array_equal(
            np.sort(np.concatenate(forgotten)), TARGETS[drawn.included[run]]
        )


def test_no_request_is_empty():
    few = np.arange(16)
    # With seed 15 a run of the first draw has a single target.
    for seed in (*range(20), 136, 149):
        found = coins.draw(few, 32, 2, seed)
        for included, group in zip(found.included, found.group, strict=True):
            assert set(group[included]) == {0, 1}


def test_folds_are_whole_blocks(drawn):
    folds = coins.folds(drawn, 2)
    assert [len(set(folds[drawn.block == b])) for b in range(4)] == [1, 1, 1, 1]
    assert np.bincount(folds).tolist() == [16, 16]


def test_too_few_targets_are_refused():
    with pytest.raises(ConfigError, match="15 targets for 2 forget sets; at least 8 a set"):
        coins.draw(np.arange(15), 16, 2, 0)
