import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from junlearn.parts import feeds
from junlearn.types import Feed

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


@given(indices, indices, batches, batches, seeds)
def test_zipped_has_pairs_and_then_retain_batches(retain, forget, batch, other, seed):
    forget = forget + 10**7
    rng = np.random.default_rng(seed)
    pair = feeds.zipped(rng, retain, forget, batch_size=batch, forget_batch_size=other)
    assert sorted(used(pair["forget"])) == sorted(forget)
    paired = pair["forget"].mask.any(axis=1)
    assert sorted(-paired.astype(int)) == list(-paired.astype(int))
    assert pair["retain"].mask.any(axis=1).all()
    if paired.all():
        assert set(used(pair["retain"])) <= set(retain)
    else:
        assert sorted(used(pair["retain"])) == sorted(retain)
    # Rows that are not used are none that the epoch would not read.
    assert set(pair["forget"].index.ravel()) == set(forget)


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


def slotted(steps, width=3, start=0, slots=True):
    """Batches whose rows, marks and slots all tell which batch and row they are of."""
    number = start + np.arange(steps * width, dtype=np.int32).reshape(steps, width)
    return Feed(number, number % 2 == 0, slot=number + 1000 if slots else None)


def consistent(feed):
    """Whether index, mask and slot are still those of one row."""
    assert feed.index.shape == feed.mask.shape == feed.slot.shape
    np.testing.assert_array_equal(feed.slot, feed.index + 1000)
    np.testing.assert_array_equal(feed.mask, feed.index % 2 == 0)
    return True


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 6, 60])
def test_cut_keeps_the_slots_of_its_rows(steps):
    feed = feeds.cut(slotted(5), steps)
    assert consistent(feed) and len(feed.index) == min(steps, 5)
    assert feeds.cut(slotted(5, slots=False), steps).slot is None


@pytest.mark.parametrize("times", [(1, 1), (2, 3), (25, 1), (1, 0, 4), (3,), (2, 2, 2, 2, 1)])
def test_each_with_keeps_the_slots_of_its_rows(times):
    others = [slotted(count, start=100 * number) for number, count in enumerate(times)]
    leader, other = feeds.each_with(slotted(len(times)), others)
    assert consistent(leader) and consistent(other)
    assert len(leader.index) == len(other.index) == sum(times)
    np.testing.assert_array_equal(leader.index[:, 0] // 3, np.repeat(np.arange(len(times)), times))
    np.testing.assert_array_equal(other.index[:, 0] // 100, np.repeat(np.arange(len(times)), times))
    plain, beside = feeds.each_with(slotted(len(times), slots=False), others)
    assert plain.slot is None and consistent(beside)


def test_rows_with_and_without_slots_cannot_be_joined():
    with pytest.raises(ValueError, match="slots"):
        feeds.each_with(slotted(2), [slotted(1), slotted(1, slots=False)])
