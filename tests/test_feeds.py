import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from junlearn import feeds

indices = st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True).map(np.array)
batches = st.integers(1, 17)
seeds = st.integers(0, 2**32 - 1)


def used(feed):
    return feed.index[feed.mask]


@given(indices, batches, seeds)
def test_an_epoch_has_each_index_exactly_once(values, batch, seed):
    feed = feeds.shuffled(np.random.default_rng(seed), values, batch)
    assert sorted(used(feed)) == sorted(values)
    assert feed.mask.sum() == len(values)
    assert feed.index.shape == (-(-len(values) // batch), batch)
    assert feed.mask[:-1].all()


@given(indices, batches)
def test_sequential_keeps_the_order(values, batch):
    np.testing.assert_array_equal(used(feeds.sequential(values, batch)), values)


@given(indices, batches)
def test_padding_reads_only_what_the_batch_reads_anyway(values, batch):
    feed = feeds.sequential(values, batch)
    for row, mask in zip(feed.index, feed.mask, strict=True):
        assert set(row) == set(row[mask])


@given(indices, batches, seeds)
def test_equal_seeds_give_equal_epochs(values, batch, seed):
    one, two = (feeds.shuffled(np.random.default_rng(seed), values, batch) for _ in range(2))
    np.testing.assert_array_equal(one.index, two.index)


@given(indices, indices, batches, seeds)
def test_paired_follows_its_leader(leader, other, batch, seed):
    other = other + 10**7
    pair = feeds.paired(np.random.default_rng(seed), {"a": leader, "b": other}, batch, leader="a")
    assert sorted(used(pair["a"])) == sorted(leader)
    assert pair["a"].index.shape == pair["b"].index.shape
    counts = np.unique(used(pair["b"]), return_counts=True)
    assert set(counts[0]) <= set(other)
    # Cycled: no example is seen twice more often than another.
    full = np.concatenate([counts[1], np.zeros(len(other) - len(counts[0]), int)])
    assert full.max() - full.min() <= 1


@given(indices, batches, st.integers(1, 9))
def test_pad_rows_adds_masked_rows_only(values, batch, multiple):
    feed = feeds.sequential(values, batch)
    wide = feeds.pad_rows(feed, multiple)
    assert wide.index.shape[1] % multiple == 0
    np.testing.assert_array_equal(used(wide), used(feed))
    np.testing.assert_array_equal(wide.mask.sum(1), feed.mask.sum(1))


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="non-empty"):
        feeds.sequential(np.zeros(0, int), 4)


def test_source_and_view_are_kept():
    feed = feeds.sequential(np.arange(3), 2, source="surrogate", view="augment")
    assert (feed.source, feed.view) == ("surrogate", "augment")
    np.testing.assert_array_equal(feed.index, [[0, 1], [2, 2]])
    np.testing.assert_array_equal(feed.mask, [[True, True], [True, False]])


def test_pad_rows_keeps_slots():
    feed = feeds.sequential(np.array([7, 7, 3]), 2)
    feed = feed._replace(slot=np.array([[4, 5], [6, 6]], np.int32))
    wide = feeds.pad_rows(feed, 3)
    np.testing.assert_array_equal(wide.slot, [[4, 5, 4], [6, 6, 6]])
    np.testing.assert_array_equal(wide.mask, [[True, True, False], [True, False, False]])
