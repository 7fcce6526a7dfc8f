"""RMIA: how many strangers' probabilities does an example beat, each relative to what reference networks give it?

Zarifzadeh, Liu and Shokri, "Low-Cost High-Power Membership Inference Attacks", 2024. With q = p_y of the target network
and `p_out` the mean over reference networks that were trained without the example,

    mean_x = (1 + a)/2 p_out(x) + (1 - a)/2,   r_x = q(x) / mean_x,   score(x) = share of strangers z with r_x > gamma
    r_z

The score is monotone in r_x: within one target network the strangers add nothing but ties, and `rmia_ratio` orders the
examples; the strangers calibrate between networks. Choose a without the target.
"""

from typing import Any, Literal

import numpy as np

from junlearn.errors import ConfigError, short
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given

__all__ = ["rmia", "rmia_ratio"]


def rmia(
    target: Any,
    references: Any,
    population_target: Any,
    population_references: Any,
    *,
    included: Any = None,
    population_in_training: Any = None,
    a: float = 0.3,
    gamma: float = 1.0,
    compat: Literal["released"] | None = None,
) -> Floats:
    """float64[n]: the score of each example, high for members, in [0, 1]; a stranger that ties is not beaten.

    All are probabilities of the training label: `target` float[n] of the attacked network, `references` float[R, n],
    and of m strangers `population_target` float[m] and `population_references` float[R, m]. `included` bool[R, n]:
    examples that a reference was trained with (none if not given). `population_in_training` bool[m]: strangers that
    were training examples, which is refused. Time O((n + m) log m). With `compat="released"` every mean is over the R
    // 2 largest of the R signals, those of networks that had the example counting as 0.

    Raises ConfigError for shapes that do not fit, numbers outside [0, 1], training examples among the strangers, an
    example that every reference had, `a` outside [0, 1], `gamma` not above 0, and a mean of 0.
    """
    given.one_of(compat, "rmia: compat", (None, "released"))
    if not 0 < gamma < np.inf:
        raise ConfigError(f"rmia: gamma must be above 0, not {short(gamma)}")
    ratio = _ratio(target, references, included, a, compat)
    strange = given.probabilities(population_target, "rmia: population_target", ("strangers",))
    if population_in_training is not None and np.any(
        given.flags(population_in_training, "rmia: population_in_training", strange.shape)
    ):
        raise ConfigError("audit: rmia: the population holds training examples")
    if len(population_references) != len(references):
        sizes = f"{len(references)} and {len(population_references)}"
        raise ConfigError(f"rmia: examples and population have {sizes} references")
    strangers = _ratio(strange, population_references, None, a, compat, "population_")
    return np.searchsorted(np.sort(gamma * strangers), ratio, side="left") / len(strangers)


def rmia_ratio(target: Any, references: Any, *, included: Any = None, a: float = 0.3) -> Floats:
    """float64[n]: r_x, which orders the examples of one target network as `rmia` does, without its ties.

    Arguments and errors as of `rmia`.
    """
    return _ratio(target, references, included, a, None)


def _ratio(
    target: Any, references: Any, included: Any, a: float, compat: str | None, of: str = ""
) -> Floats:
    if not 0 <= a <= 1:
        raise ConfigError(f"rmia: a must lie in [0, 1], not {short(a)}")
    own = given.probabilities(target, f"rmia: {of}target", ("examples",))
    out = given.probabilities(references, f"rmia: {of}references", ("references", "examples"))
    if out.shape[1] != len(own):
        raise ConfigError(
            f"rmia: {of}references are of {out.shape[1]} examples, and {of}target of {len(own)}"
        )
    had = np.zeros(out.shape, bool)
    if included is not None:
        had = given.flags(included, "rmia: included", out.shape)
    if had.all(axis=0).any():
        example = int(had.all(axis=0).argmax())
        raise ConfigError(f"rmia: example {example} was in the training set of every reference")
    return own / _mean(out, had, a, compat)


def _mean(references: Floats, had: np.ndarray, a: float, compat: str | None) -> Floats:
    signals = np.where(had, 0.0, references)
    if compat == "released":
        half = len(signals) // 2
        if half == 0:
            raise ConfigError("rmia: the released code needs at least 2 references")
        mean = np.sort(signals, axis=0)[-half:].mean(axis=0)
    else:
        mean = signals.sum(axis=0) / (~had).sum(axis=0)
    mean = (1 + a) / 2 * mean + (1 - a) / 2
    if not mean.all():
        place = int((mean == 0).argmax())
        raise ConfigError(f"rmia: all references give row {place} probability 0; give a below 1")
    return mean
