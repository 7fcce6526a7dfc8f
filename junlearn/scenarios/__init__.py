"""Which training examples to forget: pure functions `(config, dataset, key) -> Split`.

A scenario that `manipulates` the training data returns `(Dataset, Split)`: the network is trained on what it made.

A scenario that chooses by a score of each example says so in `scoring`, and is called with the scores too, as
`(config, dataset, key, scores)`. They are computed before, by `junlearn.hardness`.

A scenario of several requests, one after the other, says in `sequence` how many, and returns a list of Splits.

A scenario sees labels, names and images, never a network. It imports `datasets` and the contract, and of the engine
what checks data at the door; never a method or a metric.

Read `class_removal` first, then `partition`, which makes a Split of marks, and `poisoning` for one that manipulates.
"""

from junlearn.scenarios import (
    class_removal,
    entangled,
    interclass_confusion,
    memorised,
    noisy_labels,
    poisoning,
    random_examples,
    random_swap,
    rows,
    stream,
    subclass,
    worst_case,
)
from junlearn.types import Component

__all__ = ["ALIASES", "SCENARIOS"]

REQUEST = ("identified", "share")

SCENARIOS: dict[str, Component] = {
    "class": Component(
        "every example of one or several classes", class_removal.Config, class_removal.split
    ),
    "entangled": Component(
        "examples by their distance from the middle of the original network's embedding",
        entangled.Config,
        entangled.split,
        scoring=entangled.scoring,
    ),
    "interclass_confusion": Component(
        "two classes with exchanged labels before training, a part of them known",
        interclass_confusion.Config,
        interclass_confusion.split,
        manipulates=True,
        request=REQUEST,
    ),
    "memorised": Component(
        "the examples that are memorised most, least or in between, or a mix of them",
        memorised.Config,
        memorised.split,
        scoring=memorised.scoring,
    ),
    "noisy_labels": Component(
        "a share of some classes, mislabelled before training",
        noisy_labels.Config,
        noisy_labels.split,
        manipulates=True,
    ),
    "poisoning": Component(
        "a backdoor trigger in some training images, a part of them known",
        poisoning.Config,
        poisoning.split,
        manipulates=True,
        request=REQUEST,
    ),
    "random": Component(
        "a random fraction of the training set, or of each class",
        random_examples.Config,
        random_examples.split,
    ),
    "random_swap": Component(
        "labels swapped at random before training, a part of them known",
        random_swap.Config,
        random_swap.split,
        manipulates=True,
        request=REQUEST,
    ),
    "rows": Component(
        "the training examples that a text file names, by row, number or file name (deletion requests)",
        rows.Config,
        rows.split,
    ),
    "stream": Component(
        "several requests, one after the other: random examples, classes, or what files name",
        stream.Config,
        stream.split,
        sequence=stream.count,
    ),
    "subclass": Component(
        "fine classes of a dataset with coarse labels", subclass.Config, subclass.split
    ),
    "worst_case": Component(
        "the examples or classes that are hardest to forget, searched for from the original network",
        worst_case.Config,
        worst_case.split,
        scoring=worst_case.scoring,
    ),
}

ALIASES = {"noise": "noisy_labels"}
"""Older names, and those of today."""
