"""Which training examples to forget: pure functions `(config, dataset, key) -> Split`."""

from junlearn.scenarios import random, subclass, whole_class
from junlearn.types import Component

__all__ = ["SCENARIOS"]

SCENARIOS: dict[str, Component] = {
    "class": Component(
        "every example of one or several classes", whole_class.Config, whole_class.split
    ),
    "random": Component(
        "a random fraction of the training set, or of each class", random.Config, random.split
    ),
    "subclass": Component(
        "fine classes of a dataset with coarse labels", subclass.Config, subclass.split
    ),
}
