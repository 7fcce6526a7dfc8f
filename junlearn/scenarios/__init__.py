"""Which training examples to forget: pure functions `(config, dataset, key) -> Split`.

A scenario that `manipulates` the training data returns `(Dataset, Split)`: the network is trained on what it made.
"""

from junlearn.scenarios import noise, random, subclass, whole_class
from junlearn.types import Component

__all__ = ["SCENARIOS"]

SCENARIOS: dict[str, Component] = {
    "class": Component(
        "every example of one or several classes", whole_class.Config, whole_class.split
    ),
    "noise": Component(
        "a share of some classes, mislabelled before training",
        noise.Config,
        noise.split,
        manipulates=True,
    ),
    "random": Component(
        "a random fraction of the training set, or of each class", random.Config, random.split
    ),
    "subclass": Component(
        "fine classes of a dataset with coarse labels", subclass.Config, subclass.split
    ),
}
