"""Requests by entanglement: examples at a distance from the middle of the original network's embedding.

    (1)  d_i = |h_i - mean of h over all training examples|,  h what the head reads, in eval mode
    (2)  by rising d in `divisions` parts of floor(N / divisions) examples; what is left over is in none
    (3)  the request: the first examples of some parts, equally many of each, `size` in all

Published: CIFAR in 15 parts, low 3, medium 12, high 14; Tiny ImageNet in 100, low 0 to 2, medium 49 to 51, high 97 to
99; size 3,000. `junlearn.hardness.entanglement.score` is the entanglement score of a request, and a run says it. The
names are the release's: near the middle a request's mean is near that of the others, which makes the score large, so
the part called high can have the lower score (on digits it has).

The request depends on the original network, so on its seed.

Zhao et al.: What makes unlearning hard and what to do about it (2406.01257).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count, Whole
from junlearn.scenarios import ranking
from junlearn.scenarios.partition import partition
from junlearn.types import Dataset, Key, Scoring, Split

__all__ = ["PUBLISHED", "Config", "scoring", "split"]

PUBLISHED: dict[int, dict[str, tuple[int, ...]]] = {
    15: {"low": (3,), "medium": (12,), "high": (14,)},
    100: {"low": (0, 1, 2), "medium": (49, 50, 51), "high": (97, 98, 99)},
}
"""Parts of the published groups, by the number of divisions."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which parts of the training set, by distance."""

    group: Literal["low", "medium", "high"] = "high"
    """A published group, of 15 or of 100 divisions."""
    size: Count = 3000
    """Number of examples to forget."""
    divisions: Count = 15
    """Parts of the training set."""
    parts: tuple[Whole, ...] | None = None
    """Numbers of parts, from 0 (the nearest) on, in the place of `group`."""


def scoring(config: Config) -> Scoring:
    """The distances."""
    return Scoring("distance", {})


def split(config: Config, dataset: Dataset, key: Key, scores: np.ndarray) -> Split:
    """The Split that forgets the first examples of the parts; `forget_test` is empty."""
    wanted = _parts(config)
    rows = ranking.parts(scores, config.divisions)
    each, rest = divmod(config.size, len(wanted))
    if rest:
        raise ConfigError(
            f"size is {config.size:,}: equally many of {len(wanted)} parts, so a multiple of {len(wanted)}"
        )
    if each > rows.shape[1]:
        raise ConfigError(
            f"size is {config.size:,}: {len(wanted)} of {config.divisions} parts of {len(scores):,} examples have "
            f"{len(wanted) * rows.shape[1]:,}"
        )
    marks = np.zeros(len(scores), bool)
    marks[rows[list(wanted), :each]] = True
    return partition(marks, np.zeros(dataset.sources["test"].y.size, bool), key)


def _parts(config: Config) -> tuple[int, ...]:
    if config.parts is None:
        if config.divisions not in PUBLISHED:
            raise ConfigError(
                f"divisions is {config.divisions}: the published groups are of 15 or of 100; give parts for others"
            )
        return PUBLISHED[config.divisions][config.group]
    if not config.parts or len(set(config.parts)) < len(config.parts):
        raise ConfigError("parts: one part or several different ones are wanted")
    if max(config.parts) >= config.divisions:
        raise ConfigError(
            f"parts: there is no part {max(config.parts)} of {config.divisions} (0 to {config.divisions - 1})"
        )
    return config.parts
