"""A part of the training set in the place of the test set, to choose hyper-parameters without seeing the latter."""

import numpy as np

from junlearn.types import Dataset

__all__ = ["hold_out"]


def hold_out(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """The dataset whose "test" is a random `fraction` of its "train", taken out of it; the real test set is left out.

    Drawn without replacement by `seed`, truncated to whole examples; the order of both parts is that of the original.
    """
    train = dataset.sources["train"]
    count = len(train.y)
    held = np.zeros(count, bool)
    drawn = np.random.default_rng(seed).permutation(count)[: int(fraction * count)]
    held[drawn] = True

    return dataset._replace(
        fingerprint=f"{dataset.fingerprint}-held-out-{fraction:g}-{seed}",
        sources={**dataset.sources, "train": train.take(~held), "test": train.take(held)},
    )
