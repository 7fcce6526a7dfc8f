"""Noisy-label removal: a share of some classes is given wrong labels before training, and is then to be forgotten."""

from dataclasses import dataclass

import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction
from junlearn.scenarios.class_names import ClassName, resolve
from junlearn.scenarios.partition import generator, partition, per_class
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which labels are wrong. The defaults are LAF's (ICLR 2024)."""

    classes: tuple[ClassName, ...] = (0, 1, 2, 3, 4)
    """Numbers or names of the classes whose examples are mislabelled."""
    fraction: Fraction = 0.6
    """Share of each of them, truncated to whole examples."""
    labels: Count | None = None
    """Wrong labels are drawn from 0 to `labels` - 1, the true one left out; None: from all K. LAF's release never draws
    the last class: 9 of 10."""


def split(config: Config, dataset: Dataset, key: Key) -> tuple[Dataset, Split]:
    """The dataset with wrong labels in its "train" (the true ones in `clean`), and the Split that forgets them.

    Every test example is unseen, so `forget_test` is empty.
    """
    rng = generator(key)
    train = dataset.sources["train"]
    true = np.asarray(train.y)
    classes = resolve(config.classes, dataset.classes, "class")
    fractions = [config.fraction if k in classes else 0.0 for k in range(len(dataset.classes))]
    forget = per_class(rng, true, fractions)
    choices = len(dataset.classes) if config.labels is None else config.labels
    if not 2 <= choices <= len(dataset.classes):
        raise ConfigError(f"labels is {choices}: it must be from 2 to {len(dataset.classes)}")
    noisy = true.copy()
    # Where the true label is beyond the choices, none of them has to be left out.
    wrong = rng.integers(0, np.where(true < choices, choices - 1, choices))
    wrong = wrong + ((true < choices) & (wrong >= true))
    noisy[forget] = wrong[forget]
    sources = dataset.sources | {"train": train._replace(y=noisy, clean=true)}
    tests = np.zeros(dataset.sources["test"].y.size, bool)
    return dataset._replace(sources=sources), partition(forget, tests, key)
