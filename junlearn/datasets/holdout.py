"""Parts of the training set that are kept out of training, to choose on: in the place of the test set, or beside it."""

import numpy as np

from junlearn.types import Dataset

__all__ = ["hold_out", "set_aside"]


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
