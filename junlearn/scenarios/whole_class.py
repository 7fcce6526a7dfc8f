"""Class removal: forget every example of one or several classes."""

from dataclasses import dataclass

import numpy as np

from junlearn.scenarios.partition import partition, resolve
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which classes to forget."""

    classes: tuple[int | str, ...] = (0,)
    """Numbers or names of classes."""


def split(config: Config, dataset: Dataset, key: Key) -> Split:
    """All training examples of `config.classes`."""
    classes = resolve(config.classes, dataset.classes, "class")
    train, test = (np.isin(dataset.sources[name].y, classes) for name in ("train", "test"))
    return partition(train, test, key, classes)
