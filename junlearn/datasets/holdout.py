"""Parts of the training set that are kept out of training: to choose on, in the place of the test set or beside it, and
as the test set itself, where data come without one.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from junlearn.errors import ConfigError
from junlearn.types import Dataset

__all__ = ["by_hash", "check_fraction", "hashed_out", "hold_out", "set_aside"]


def check_fraction(fraction: float) -> None:
    """Raises ConfigError for a `dataset.test_fraction` that leaves nothing to train on."""
    if not 0 <= fraction < 1:
        raise ConfigError(f"dataset.test_fraction must be in [0, 1), not {fraction}")


def by_hash(names: Sequence[bytes], fraction: float) -> list[bool]:
    """Which examples are for the test: about that `fraction`, by a hash of each name.

    So a further example moves none of the others from one side to the other.
    """
    hashes = (hashlib.blake2b(name, digest_size=8).digest() for name in names)
    return [int.from_bytes(value) / 2**64 < fraction for value in hashes]


def hashed_out(fraction: float) -> str:
    """What an example is that `by_hash` has taken for the test, for messages."""
    return f"a test image (test_fraction = {fraction:g})"


def hold_out(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """The dataset whose "test" is a random `fraction` of its "train", taken out of it; the real test set is left out.

    Drawn without replacement by `seed`, truncated to whole examples; the order of both parts is that of the original.
    """
    return _taken(dataset, "test", f"held out (held_out = {fraction:g})", fraction, seed)._replace(
        fingerprint=f"{dataset.fingerprint}-held-out-{fraction:g}-{seed}"
    )


def set_aside(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """The dataset with a random `fraction` of its "train", taken out of it, as the source "validation"; else as
    `hold_out`.
    """
    return _taken(
        dataset, "validation", f"set aside (validation = {fraction:g})", fraction, seed
    )._replace(fingerprint=f"{dataset.fingerprint}-validation-{fraction:g}-{seed}")


def _taken(dataset: Dataset, name: str, what: str, fraction: float, seed: int) -> Dataset:
    train = dataset.sources["train"]
    count = len(train.y)
    held = np.zeros(count, bool)
    drawn = np.random.default_rng(seed).permutation(count)[: int(fraction * count)]
    held[drawn] = True
    sources = {**dataset.sources, "train": train.take(~held), name: train.take(held)}
    return dataset._replace(sources=sources, apart={**dataset.apart, name: what})
