"""Sub-class removal: forget fine classes of a network that was trained on coarse labels (CIFAR-20)."""

from dataclasses import dataclass

import numpy as np

from junlearn.errors import ConfigError
from junlearn.scenarios.class_names import ClassName, resolve
from junlearn.scenarios.partition import partition
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which fine classes to forget."""

    subclasses: tuple[ClassName, ...] = ("rocket",)
    """Numbers or names of fine classes."""


def split(config: Config, dataset: Dataset, key: Key) -> Split:
    """All training examples of `config.subclasses`. Needs a dataset with fine labels."""
    if not dataset.fine_classes:
        raise ConfigError(
            f"scenario 'subclass' needs fine labels, and {dataset.name} has none; 'cifar20' has them"
        )
    subclasses = resolve(config.subclasses, dataset.fine_classes, "sub-class")
    train, test = (np.isin(dataset.sources[name].fine, subclasses) for name in ("train", "test"))
    return partition(train, test, key)
