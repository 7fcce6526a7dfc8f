"""Data removal: forget a random part of the training set."""

import re
from dataclasses import dataclass

import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction, Seed
from junlearn.scenarios.partition import generator, partition, per_class
from junlearn.types import Dataset, Key, Split

__all__ = ["RELEASED", "Config", "released", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """How much to forget: of the whole set, or of each class."""

    fraction: Fraction = 0.1
    """Share of the training set, truncated to whole examples."""
    count: Count | None = None
    """Number of examples, in place of `fraction`."""
    fractions: tuple[Fraction, ...] | None = None
    """One share a class, in place of `fraction`: floor(p_k N_k) examples of class k."""
    released_seed: Seed | None = None
    """The very examples that SCAR's release forgets for this seed (0 to 8 and 42 there), in place of `fraction`: a
    tenth of the complete CIFAR-10, CIFAR-100 or Tiny ImageNet."""

    def __post_init__(self) -> None:
        if self.count is not None and self.fractions is not None:
            raise ConfigError("give either count or fractions, not both")
        alone = self.count is None and self.fractions is None
        if self.released_seed is not None and not alone:
            raise ConfigError(
                "released_seed stands for one list: give no count or fractions beside it"
            )


RELEASED = (
    # In the order of the draws; the first three lists are drawn and never used.
    ("", 50_000, 1_000),
    ("", 50_000, 1_000),
    ("", 100_000, 2_000),
    ("cifar10", 50_000, 5_000),
    ("cifar100", 50_000, 5_000),
    ("tiny_imagenet", 100_000, 10_000),
)
"""Dataset, training examples and forgotten ones of SCAR's lists."""


def released(seed: int, name: str) -> np.ndarray:
    """int[n]: the numbers, in the dataset's official order, of the examples that SCAR's release forgets.

    All lists of a seed come out of one generator, NumPy's legacy one, one after the other.
    """
    generator = np.random.RandomState(seed)
    lists = {list_of: generator.choice(size, n, replace=False) for list_of, size, n in RELEASED}
    return lists[name]


def _released_rows(seed: int, dataset: Dataset) -> np.ndarray:
    """bool[N]: the rows of "train" whose numbers are in the list. Raises ConfigError where numbers mean nothing."""
    plain = re.sub("[^a-z0-9]", "_", dataset.name.lower())
    name = "tiny_imagenet" if plain.startswith("tiny_imagenet") else plain
    sizes = {list_of: size for list_of, size, _ in RELEASED if list_of}
    if name not in sizes:
        raise ConfigError(
            f"scenario.released_seed: there are lists for {', '.join(sizes)}, and none for {dataset.name}"
        )
    train = dataset.sources["train"]
    if train.id is None:
        raise ConfigError(
            f"scenario.released_seed needs the official number of each example, and {dataset.name} has none here"
        )
    number = np.asarray(train.id)
    if len(number) != sizes[name] or not np.array_equal(np.sort(number), np.arange(sizes[name])):
        raise ConfigError(
            f"scenario.released_seed: the lists number all {sizes[name]:,} training examples of {name}, and this "
            f"{dataset.name} has {len(number):,}, whose numbers are not 0 to {sizes[name] - 1:,}: a part of the set?"
        )
    ordered = np.asarray(train.y)[np.argsort(number)]
    if name != "tiny_imagenet" and (np.diff(ordered) >= 0).all():
        raise ConfigError(
            f"scenario.released_seed needs the official order of {name}, which is mixed; here the examples are "
            "numbered class by class"
        )
    return np.isin(number, released(seed, name))


def split(config: Config, dataset: Dataset, key: Key) -> Split:
    """Uniform draws without replacement. Every test example is unseen, so `forget_test` is empty."""
    rng = generator(key)
    labels = np.asarray(dataset.sources["train"].y)
    if config.released_seed is not None:
        forget = _released_rows(config.released_seed, dataset)
    elif config.fractions is not None:
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
