"""Class removal: forget every example of one or several classes."""

from dataclasses import dataclass

import numpy as np

from junlearn.scenarios.class_names import ClassName, resolve
from junlearn.scenarios.partition import partition
from junlearn.types import Dataset, Key, Sources, Split

__all__ = ["Config", "of_classes", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which classes to forget."""

    classes: tuple[ClassName, ...] = (0,)
    """Numbers or names of classes."""


def split(config: Config, dataset: Dataset, key: Key) -> Split:
    """All training examples of `config.classes`."""
    return of_classes(dataset.sources, resolve(config.classes, dataset.classes, "class"), key)


def of_classes(sources: Sources, classes: tuple[int, ...], key: Key) -> Split:
    """The Split that forgets the classes of these numbers; there may be no "test"."""
    labels = (sources[name].y if name in sources else () for name in ("train", "test"))
    train, test = (np.isin(np.asarray(y, np.int64), classes) for y in labels)
    return partition(train, test, key, classes)
