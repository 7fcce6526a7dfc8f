"""Worst-case requests: the examples, or classes, that the original network unlearns least (or most) easily.

They are found by a search on two levels from the original network: `junlearn.hardness.bilevel` has its equations, its
published settings and what of the release is not copied. The request depends on the original network, so on its seed,
and on the scenario's own.

Fan et al.: Challenging Forgets: Unveiling the Worst-Case Forget Sets in Machine Unlearning (2403.07362).
"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Epochs, NonNegative, Positive
from junlearn.scenarios.class_removal import of_classes
from junlearn.scenarios.partition import partition
from junlearn.scenarios.ranking import falling
from junlearn.types import Dataset, Key, Scoring, Split

__all__ = ["Config", "scoring", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """How large the request is, and how it is searched for; defaults of the released code."""

    size: Count = 4500
    """Number of examples, or of classes, to forget. Published: a tenth (4,500 of 45,000; 90 classes of ImageNet)."""
    level: Literal["examples", "classes"] = "examples"
    find: Literal["hard", "easy"] = "hard"
    """hard: those whose loss stays lowest when they are forgotten. easy: the others' end."""
    rounds: Count = 10
    """Steps of the search, each from the original network."""
    epochs: Epochs = 10
    """Of unlearning in each round."""
    learning_rate: Positive = 0.01
    """Of unlearning, which descends on the sign of the gradient."""
    weight_rate: Positive = 0.01
    """Of the search."""
    gamma: NonNegative = 0.0
    """Penalty on the squares of the weights."""
    binary_every: Count = 20
    """Rounds after which weights become 0 or 1; of more than there are: the last one."""
    batch_size: BatchSize = 256
    """Of unlearning; ours."""


def scoring(config: Config) -> Scoring:
    """The weights at the end of the search."""
    return Scoring("worst_case", asdict(config))


def split(config: Config, dataset: Dataset, key: Key, scores: np.ndarray) -> Split:
    """The Split that forgets the examples or classes of the largest weights."""
    labels = np.asarray(dataset.sources["train"].y)
    weights = scores
    if config.level == "classes":
        weights = np.zeros(len(dataset.classes))
        weights[labels] = scores
    if config.size >= len(weights):
        raise ConfigError(
            f"size is {config.size:,}, and there are {len(weights):,} {config.level}: at least one is retained"
        )
    chosen = falling(weights)[: config.size]
    if config.level == "classes":
        return of_classes(dataset.sources, tuple(sorted(chosen.tolist())), key)
    marks = np.zeros(labels.size, bool)
    marks[chosen] = True
    return partition(marks, np.zeros(dataset.sources["test"].y.size, bool), key)
