"""Random label swap: the labels of some training images are dealt out among them anew.

Corrective Machine Unlearning (Goel et al., TMLR 2024, arXiv 2402.14015). The number of examples of every class stays,
and about one in K keeps its label.
"""

from dataclasses import dataclass

import numpy as np

from junlearn.scenarios.manipulation import Manipulation, check_size, manipulate, orders
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "split"]


@dataclass(frozen=True, kw_only=True)
class Config(Manipulation):
    """How many labels are swapped, and how many of them are known."""


def split(config: Config, dataset: Dataset, key: Key) -> tuple[Dataset, Split]:
    """The dataset with swapped labels, and the Split that forgets the known part of them; `forget_test` is empty."""
    labels = np.asarray(dataset.sources["train"].y)
    check_size(config, labels.size, "training examples")
    drawn = orders(config, labels.size, key)
    chosen = drawn.examples[: config.manipulated]
    # The j-th in ascending order gets the label of the j-th as drawn.
    return manipulate(config, dataset, key, np.sort(chosen), labels[chosen], drawn.manipulated)
