"""Interclass confusion: some training images of two classes have each other's label.

Corrective Machine Unlearning (Goel et al., TMLR 2024, arXiv 2402.14015).
"""

from dataclasses import dataclass

import numpy as np

from junlearn.errors import ConfigError
from junlearn.scenarios.class_names import ClassName, resolve
from junlearn.scenarios.manipulation import Manipulation, check_size, manipulate, orders
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "split"]


@dataclass(frozen=True, kw_only=True)
class Config(Manipulation):
    """How many labels are exchanged, half of them of each class, and how many of them are known."""

    classes: tuple[ClassName, ClassName] = (3, 5)
    """Numbers or names of the two. The paper's: cat and dog of CIFAR-10, 47 and 53 of CIFAR-100 (maple tree and
    orange), 0 and 1 of PatchCamelyon."""


def split(config: Config, dataset: Dataset, key: Key) -> tuple[Dataset, Split]:
    """The dataset with the labels exchanged, and the Split that forgets the known part of them.

    `forget_test` are the test examples of the two classes: those that the confusion harms. The release takes the first
    examples of each class, whatever its seed; draw="released" does.
    """
    pair = resolve(config.classes, dataset.classes, "class")
    if len(pair) != 2:
        raise ConfigError(f"classes: two different ones are needed, not {list(config.classes)}")
    if config.manipulated % 2:
        raise ConfigError(
            f"manipulated is {config.manipulated}: it must be even, half of it from each class"
        )
    labels = np.asarray(dataset.sources["train"].y)
    half = config.manipulated // 2
    members = [np.flatnonzero(labels == label) for label in pair]
    check_size(config, 2 * min(map(len, members)), "examples of the two classes in equal parts")
    drawn = orders(config, labels.size, key, drawn=False)
    if config.draw == "keyed":
        rank = np.empty(labels.size, int)
        rank[drawn.examples] = np.arange(labels.size)
        members = [rows[np.argsort(rank[rows])] for rows in members]
    rows = np.concatenate([part[:half] for part in members])
    exchanged = np.repeat(pair[::-1], half)
    harmed = np.isin(np.asarray(dataset.sources["test"].y), pair)
    return manipulate(config, dataset, key, rows, exchanged, drawn.manipulated, harmed)
