"""Data removal: forget a random part of the training set."""

from dataclasses import dataclass

import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction
from junlearn.scenarios.partition import generator, partition, per_class
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """How much to forget: of the whole set, or of each class."""

    fraction: Fraction = 0.1
    """Share of the training set, truncated to whole examples."""
    count: Count | None = None
    """Number of examples, in place of `fraction`."""
    fractions: tuple[Fraction, ...] | None = None
    """One share a class, in place of `fraction`: floor(p_k N_k) examples of class k."""

    def __post_init__(self) -> None:
        if self.count is not None and self.fractions is not None:
            raise ConfigError("give either count or fractions, not both")


def split(config: Config, dataset: Dataset, key: Key) -> Split:
    """Uniform draws without replacement. Every test example is unseen, so `forget_test` is empty."""
    rng = generator(key)
    labels = np.asarray(dataset.sources["train"].y)
    if config.fractions is not None:
        if len(config.fractions) != len(dataset.classes):
            raise ConfigError(
                f"fractions has {len(config.fractions)} entries, and {dataset.name} has "
                f"{len(dataset.classes)} classes: give one for each"
            )
        forget = per_class(rng, labels, config.fractions)
    else:
        count = int(config.fraction * labels.size) if config.count is None else config.count
        if count > labels.size:
            raise ConfigError(f"count is {count}, and the training set has {labels.size} examples")
        forget = np.zeros(labels.size, bool)
        forget[rng.choice(labels.size, count, replace=False)] = True
    return partition(forget, np.zeros(dataset.sources["test"].y.size, bool), key)
