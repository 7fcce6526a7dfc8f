"""Epochs as index arrays: which examples make up each batch, drawn on the host.

Every function is pure in (generator, indices) and returns a `Feed` of T steps by B rows. Rows that only fill the
last batch repeat an index of the same batch (so that no example outside the feed is ever read) with mask False.
"""

from collections.abc import Callable, Sequence

import numpy as np

from junlearn.types import Feed, PyTree

__all__ = [
    "crossed",
    "cut",
    "cycled",
    "dataless",
    "each_with",
    "is_feed",
    "joined",
    "pad_rows",
    "paired",
    "sequential",
    "shuffled",
    "zipped",
]


def sequential(
    indices: np.ndarray, batch_size: int, *, source: str = "train", view: str = "eval"
) -> Feed:
    """All `indices` once, in the order given; the last batch is padded."""
    indices = np.asarray(indices, np.int32)
    if indices.ndim != 1 or indices.size == 0:
        raise ValueError(f"a feed needs a non-empty list of indices, got shape {indices.shape}")
    count = -(-indices.size // batch_size)
    padding = count * batch_size - indices.size
    first_of_last = indices[(count - 1) * batch_size]
    index = np.concatenate([indices, np.full(padding, first_of_last, np.int32)])
    mask = np.arange(index.size) < indices.size
    return Feed(
        index.reshape(count, batch_size), mask.reshape(count, batch_size), source=source, view=view
    )


def shuffled(
    rng: np.random.Generator,
    indices: np.ndarray,
    batch_size: int,
    *,
    source: str = "train",
    view: str = "eval",
) -> Feed:
    """All `indices` once in random order; the last batch is padded (nothing is dropped)."""
    return sequential(rng.permutation(indices), batch_size, source=source, view=view)


def cycled(
    rng: np.random.Generator,
    indices: np.ndarray,
    batch_size: int,
    steps: int,
    *,
    source: str = "train",
    view: str = "eval",
) -> Feed:
    """`steps` batches of passes over `indices`, each pass in an order of its own with its ragged last batch."""
    passes = -(-steps // -(-len(indices) // batch_size))
    rounds = [shuffled(rng, indices, batch_size, source=source, view=view) for _ in range(passes)]
    return cut(joined(rounds), steps)


def paired(
    rng: np.random.Generator,
    indices: dict[str, np.ndarray],
    batch_size: int,
    *,
    leader: str,
    source: str = "train",
    view: str = "eval",
) -> dict[str, Feed]:
    """One batch of each set per step. The epoch is one pass over `leader`; the others are cycled.

    A set that ends before the leader starts again in a new random order, ragged last batch included; a set that is
    longer is cut where the leader ends.
    """
    length = -(-len(indices[leader]) // batch_size)
    return {
        name: cycled(rng, values, batch_size, length, source=source, view=view)
        for name, values in indices.items()
    }


def zipped(
    rng: np.random.Generator,
    retain: np.ndarray,
    forget: np.ndarray,
    *,
    batch_size: int,
    forget_batch_size: int,
    view: str = "eval",
) -> dict[str, Feed]:
    """A retain and a forget batch per step, and when all forget examples are through the rest of the retain set alone.

    These last steps have forget batches without rows: `mask` is False throughout. Where there are more forget than
    retain batches, the retain set starts again in a new order, so that every step is a pair.
    """
    ahead = shuffled(rng, forget, forget_batch_size, view=view)
    pairs = len(ahead.index)
    length = max(-(-len(retain) // batch_size), pairs)
    index = np.pad(ahead.index, ((0, length - pairs), (0, 0)), mode="edge")
    mask = np.pad(ahead.mask, ((0, length - pairs), (0, 0)))
    return {
        "retain": cycled(rng, retain, batch_size, length, view=view),
        "forget": ahead._replace(index=index, mask=mask),
    }


def cut(feed: Feed, steps: int) -> Feed:
    """The first `steps` batches of an epoch (all, where there are fewer)."""
    return _changed(feed, lambda rows: rows[:steps])


def each_with(leader: Feed, others: Sequence[Feed]) -> tuple[Feed, Feed]:
    """A step for every batch of `others[i]`, beside the i-th batch of `leader`: both feeds, equally long."""
    times = [len(other.index) for other in others]
    return _changed(leader, lambda rows: np.repeat(rows, times, axis=0)), joined(others)


def crossed(
    rng: np.random.Generator,
    leader: Feed,
    indices: np.ndarray,
    batch_size: int,
    most: int,
    view: str = "eval",
) -> tuple[Feed, Feed]:
    """For every batch of `leader` a new random order of `indices`, of which up to `most` batches get a step each."""
    orders = [
        cut(shuffled(rng, indices, batch_size, view=view), most) for _ in range(len(leader.index))
    ]
    return each_with(leader, orders)


def joined(parts: Sequence[Feed]) -> Feed:
    """The batches of all `parts`, one part after the other; they differ in nothing but their rows.

    Raises ValueError where only some of them have slots.
    """
    slots = [part.slot for part in parts if part.slot is not None]
    if slots and len(slots) < len(parts):
        raise ValueError("feeds with slots and feeds without them cannot be joined")
    return parts[0]._replace(
        index=np.concatenate([part.index for part in parts]),
        mask=np.concatenate([part.mask for part in parts]),
        slot=np.concatenate(slots) if slots else None,
    )


def dataless(steps: int, *, source: str = "train", view: str = "eval") -> Feed:
    """`steps` batches of no rows: for a stage that makes its own input."""
    return Feed(
        np.zeros((steps, 0), np.int32), np.zeros((steps, 0), bool), source=source, view=view
    )


def is_feed(node: PyTree) -> bool:
    """True at a Feed: the leaf predicate for trees of feeds."""
    return isinstance(node, Feed)


def pad_rows(feed: Feed, multiple: int) -> Feed:
    """Widen every batch by masked rows until B is a multiple of `multiple` (the number of devices)."""
    extra = -feed.index.shape[1] % multiple if feed.index.shape[1] else 0
    if not extra:
        return feed

    def widen(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([rows, np.repeat(rows[:, :1], extra, axis=1)], axis=1)

    return _changed(feed, widen)._replace(mask=np.pad(feed.mask, ((0, 0), (0, extra))))


def _changed(feed: Feed, change: Callable[[np.ndarray], np.ndarray]) -> Feed:
    """`feed` with `change` made to every array that has its steps and rows."""
    slot = None if feed.slot is None else change(feed.slot)
    return feed._replace(index=change(feed.index), mask=change(feed.mask), slot=slot)
