"""What manipulations of the training set share: which examples are manipulated, and which of them are known.

S_m is the manipulated set, S_f in S_m the identified part, which is to be forgotten; the rest of S_m stays in D_r. Each
is drawn with a key of its own, as the beginning of one random order: a larger set holds the smaller ones.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction
from junlearn.scenarios.partition import generator, partition
from junlearn.types import Dataset, Key, Split

__all__ = ["Manipulation", "Orders", "check_size", "manipulate", "orders"]

MANIPULATED, IDENTIFIED = range(2)
"""Purposes of the two keys."""
RELEASED_SEED = 0
"""The released code knows no other."""


@dataclass(frozen=True, kw_only=True)
class Manipulation:
    """How many examples are manipulated, and how many of them are known."""

    manipulated: Count = 500
    """|S_m|."""
    identified: Count | None = None
    """|S_f|; None: by `share`."""
    share: Fraction = 1.0
    """|S_f| / |S_m|, rounded to whole examples, at least one."""
    draw: Literal["keyed", "released", "released_cached"] = "keyed"
    """How S_m and S_f are drawn. The released code draws from NumPy's generator with seed 0: S_f after S_m, or, where
    it read S_m from a file, first."""

    def __post_init__(self) -> None:
        if self.identified is not None and self.identified > self.manipulated:
            raise ConfigError(
                f"identified is {self.identified}: of {self.manipulated} manipulated examples no more can be known"
            )

    def known(self) -> int:
        """|S_f|."""
        if self.identified is not None:
            return self.identified
        return max(1, round(self.share * self.manipulated))


class Orders(NamedTuple):
    """The random orders of which S_m and S_f are the beginnings."""

    examples: np.ndarray
    """A permutation of all N examples."""
    manipulated: np.ndarray
    """A permutation of the |S_m| places in the list of manipulated examples."""


def orders(config: Manipulation, count: int, key: Key, *, drawn: bool = True) -> Orders:
    """The two orders for `count` examples.

    `drawn`: whether the release draws S_m at all; where it does not, S_f is its first draw.
    """
    if config.draw == "keyed":
        rngs = [generator(jax.random.fold_in(key, part)) for part in (MANIPULATED, IDENTIFIED)]
        return Orders(rngs[0].permutation(count), rngs[1].permutation(config.manipulated))
    legacy = np.random.RandomState(RELEASED_SEED)
    examples = legacy.permutation(count)
    if config.draw == "released_cached" or not drawn:
        legacy = np.random.RandomState(RELEASED_SEED)
    return Orders(examples, legacy.permutation(config.manipulated))


def manipulate(
    config: Manipulation,
    dataset: Dataset,
    key: Key,
    rows: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    forget_test: np.ndarray | None = None,
) -> tuple[Dataset, Split]:
    """The dataset with `labels` at the manipulated `rows` of "train", and the Split that forgets S_f.

    S_f are the first |S_f| of `rows[order]`. The true labels are kept in `clean`. `forget_test` marks the unseen
    examples (bool[M]) of what the manipulation is about, where it is about some of them.
    """
    train = dataset.sources["train"]
    wrong = np.array(train.y)
    wrong[rows] = labels
    known = rows[order[: config.known()]]
    forget = np.zeros(wrong.size, bool)
    forget[known] = True
    if forget_test is None:
        forget_test = np.zeros(dataset.sources["test"].y.size, bool)
    sources = dataset.sources | {"train": train._replace(y=wrong, clean=np.asarray(train.y))}
    split = partition(forget, forget_test, key)._replace(manipulated=np.sort(rows))
    return dataset._replace(sources=sources), split


def check_size(config: Manipulation, most: int, what: str) -> None:
    """Raise ConfigError where S_m is larger than `most`."""
    if config.manipulated > most:
        raise ConfigError(f"manipulated is {config.manipulated}, and there are {most} {what}")
