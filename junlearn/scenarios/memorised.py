"""Requests by memorisation: the examples that networks know only because they saw them, or those that all are alike to.

    high     the `size` examples of the highest score
    medium   the nearest to 0.5 (of another score than the memorisation: to its median)
    low      those of the lowest score
    mix      a third of each; the published experiments on CIFAR-10 have 3 x 1,000

The scores are those of `junlearn.hardness`: `memorisation` trains `models` networks on random subsets, the others are
cheap proxies of one network. A larger score is a harder example, whatever the score is. Scores of a file, such as the
published ones of CIFAR-100, take their place.

The release: models = 400, share = 0.7. Defaults that are ours: models (64), curvature_step, and the two of the held-out
fine-tuning.

Zhao et al.: What makes unlearning hard and what to do about it (2406.01257).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from junlearn.errors import ConfigError
from junlearn.fields import Count, Epochs, File, Positive, Seed
from junlearn.scenarios.partition import partition
from junlearn.scenarios.ranking import Group, group
from junlearn.types import Dataset, Key, Scoring, Split

__all__ = ["MIDDLE", "Config", "scoring", "split"]

MIDDLE = 0.5
"""The middle of memorisation."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which group of which score."""

    group: Group = "high"
    size: Count = 3000
    """Number of examples to forget."""
    score: Literal[
        "memorisation",
        "confidence",
        "max_probability",
        "entropy",
        "accuracy",
        "curvature",
        "held_out",
    ] = "memorisation"
    """memorisation: of many networks. held_out: a copy of the original network is fine-tuned on the validation set
    (`validation`). The others are measured while a network is trained, as the original one is."""
    models: Annotated[int, Meta(ge=2, le=100_000)] = 64
    """Memorisation: networks to train. One that was trained before is not trained again."""
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.7
    """Memorisation: part of the training set that each of them sees."""
    networks_seed: Seed = 0
    """Memorisation: of the subsets and of the networks; no other seed of the run changes the scores."""
    curvature_step: Positive = 0.1
    """Curvature: length of the step in the image."""
    held_out_epochs: Epochs = 5
    """Held out: epochs of fine-tuning."""
    held_out_learning_rate: Positive = 0.01
    """Held out: its rate."""
    scores: File | None = None
    """A file of scores, in the place of `score`; see `junlearn.parts.example_scores`."""


def scoring(config: Config) -> Scoring:
    """What the groups are of."""
    if config.scores is not None:
        if not config.scores:
            raise ConfigError(
                "scenario.scores is empty: the path of a file of example scores is wanted"
            )
        return Scoring("file", {"path": config.scores})
    settings: dict = {}
    if config.score == "memorisation":
        settings = {
            "models": config.models,
            "share": config.share,
            "seed": config.networks_seed,
        }
    elif config.score == "curvature":
        settings = {"step": config.curvature_step}
    elif config.score == "held_out":
        settings = {
            "epochs": config.held_out_epochs,
            "learning_rate": config.held_out_learning_rate,
        }
    return Scoring(config.score, settings)


def split(config: Config, dataset: Dataset, key: Key, scores: np.ndarray) -> Split:
    """The Split that forgets the group; every test example is unseen, so `forget_test` is empty."""
    memorisation = config.score == "memorisation" or config.scores is not None
    marks = np.zeros(len(scores), bool)
    marks[group(scores, config.group, config.size, MIDDLE if memorisation else None)] = True
    return partition(marks, np.zeros(dataset.sources["test"].y.size, bool), key)
