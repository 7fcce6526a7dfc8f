"""Epsilon from below: which (epsilon, delta)-unlearning do the outputs refute, with a stated probability of error?

Unlearning is (epsilon, delta) if P(U in E) <= e^epsilon P(A in E) + delta and conversely, for the laws of unlearned
networks U and retrained ones A and every event E of their outputs. A test that was fixed beforehand and errs seldom
refutes small epsilons. Its error rates are bounded by exact binomial limits; the bound holds with probability 1 -
alpha. A trial is a network, so examples may depend on each other. 0 says nothing, neither for nor against a method.

Margins: `unlearned` float[N, n], `retrained` float[M, n]. The attack is fitted on networks 0 .. N // 2 - 1 of both
sides and counted on the others.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats, Integers
from junlearn.metrics.ensemble import given
from junlearn.metrics.ensemble.fits import VARIANCES, Game, Variance, held_out, judged_by

__all__ = [
    "EpsilonExample",
    "EpsilonSet",
    "Threshold",
    "epsilon_example",
    "epsilon_lower",
    "epsilon_set",
    "highest_epsilon",
    "upper_limit",
]

Threshold = Literal["zero", "best"]

FOLDS = 4
"""Folds of the fitting half, for the best threshold."""


class EpsilonSet(NamedTuple):
    """The bound of one decision per network, and what was counted."""

    epsilon: float
    false_positives: int
    """Retrained networks called unlearned,"""
    retrained: int
    """of so many."""
    false_negatives: int
    """Unlearned networks that were missed,"""
    unlearned: int
    """of so many."""
    threshold: float
    """A network is called unlearned if its Lambda is above."""


class EpsilonExample(NamedTuple):
    """The largest bound over the examples, each at alpha / n."""

    epsilon: float
    example: int
    by_example: Floats


def upper_limit(count: Any, trials: int, alpha: float) -> Floats:
    """The exact binomial upper limit of a rate, one-sided at level alpha (Clopper and Pearson, 1934).

    The rate at which `count` (a number or int[n]) or fewer of `trials` have the probability alpha; 1 if all count.
    Raises ConfigError for counts outside of 0 to `trials`, no trials, and alpha outside (0, 1).
    """
    given.share(alpha, "upper_limit: alpha")
    counts = given.whole(count, "upper_limit: count", given.shape_of(count, "upper_limit: count"))
    if trials < 1 or (counts < 0).any() or (counts > trials).any():
        raise ConfigError(f"upper_limit: counts must lie in 0 to {trials} trials")
    # All but the last case; a beta law needs a second parameter above 0.
    limits = stats.beta.ppf(1 - alpha, counts + 1, np.maximum(trials - counts, 1))
    return np.where(counts == trials, 1.0, limits)


def epsilon_lower(
    false_positives: int,
    retrained: int,
    false_negatives: int,
    unlearned: int,
    *,
    delta: float = 1e-5,
    alpha: float = 0.05,
) -> float:
    """The lower bound from a test fixed beforehand that errs on so many of `retrained` and `unlearned` networks.

    max(0, ln((1 - delta - fnr+) / fpr+), ln((1 - delta - fpr+) / fnr+)), with `upper_limit`s at alpha / 2 each; terms
    whose numerator is not above 0 are left out. Raises ConfigError as `upper_limit` does, and for delta outside [0, 1).
    """
    positives, negatives = np.array(false_positives), np.array(false_negatives)
    return float(_lower(positives, retrained, negatives, unlearned, delta, alpha))


def highest_epsilon(networks: int, *, delta: float = 1e-5, alpha: float = 0.05) -> float:
    """The highest bound that so many networks a side can give: every network of the counted halves told rightly."""
    if networks < 2:
        raise ConfigError(f"highest_epsilon: {networks} networks a side; half of them must be some")
    half = networks - networks // 2
    return epsilon_lower(0, half, 0, half, delta=delta, alpha=alpha)


def epsilon_set(
    unlearned: Any,
    retrained: Any,
    *,
    threshold: Threshold = "zero",
    variance: Variance = "auto",
    delta: float = 1e-5,
    alpha: float = 0.05,
) -> EpsilonSet:
    """One decision per network: unlearned if Lambda = sum_i L_i, over all examples, is above a threshold.

    L is the log likelihood ratio of Gaussians by example (`ulira`). The threshold is 0, or the "best": of the largest
    balanced accuracy of Lambda in four folds of the fitting half. Raises ConfigError for fewer than 8 networks a side,
    shapes that do not fit and numbers that are not finite.
    """
    given.one_of(threshold, "epsilon: threshold", ("zero", "best"))
    margins, first, judged, sides, game = _halves(unlearned, retrained, variance)
    level = 0.0
    if threshold == "best":
        level = _best_threshold(margins, first, game)
    ratios = judged_by(margins, first, ~first, judged, game)[0].sum(axis=1)
    positives = int((ratios[~sides] > level).sum())
    negatives = int((ratios[sides] <= level).sum())
    counts = positives, int((~sides).sum()), negatives, int(sides.sum())
    return EpsilonSet(epsilon_lower(*counts, delta=delta, alpha=alpha), *counts, level)


def epsilon_example(
    unlearned: Any,
    retrained: Any,
    *,
    variance: Variance = "auto",
    delta: float = 1e-5,
    alpha: float = 0.05,
) -> EpsilonExample:
    """The largest bound over n examples and its index, each by its own L at alpha / n (Bonferroni).

    A network is called unlearned if L is above 0. Errors as of `epsilon_set`.
    """
    margins, first, judged, sides, game = _halves(unlearned, retrained, variance)
    ratios = judged_by(margins, first, ~first, judged, game)[0]
    positives = (ratios[~sides] > 0).sum(axis=0)
    negatives = (ratios[sides] <= 0).sum(axis=0)
    sizes = int((~sides).sum()), int(sides.sum())
    level = alpha / margins.shape[1]
    bounds = _lower(positives, sizes[0], negatives, sizes[1], delta, level)
    return EpsilonExample(float(bounds.max()), int(bounds.argmax()), bounds)


def _lower(
    false_positives: Integers,
    retrained: int,
    false_negatives: Integers,
    unlearned: int,
    delta: float,
    alpha: float,
) -> Floats:
    if not 0 <= delta < 1:
        raise ConfigError(f"epsilon: delta must lie in [0, 1), not {delta}")
    positive = upper_limit(false_positives, retrained, alpha / 2)
    negative = upper_limit(false_negatives, unlearned, alpha / 2)
    ratios = [(1 - delta - negative) / positive, (1 - delta - positive) / negative]
    # A ratio up to 1 says nothing, and has no logarithm above 0.
    return np.log(np.maximum(1.0, np.maximum(*ratios)))


def _halves(
    unlearned: Any, retrained: Any, variance: Variance
) -> tuple[Floats, np.ndarray, Floats, np.ndarray, Game]:
    """The fitting half and which of its rows are unlearned, the judged half and the same of it, and the game."""
    given.one_of(variance, "epsilon: variance", VARIANCES)
    ours = given.numbers(unlearned, "epsilon: unlearned", ("networks", "examples"))
    theirs = given.numbers(retrained, "epsilon: retrained", ("networks", "examples"))
    if ours.shape[1] != theirs.shape[1]:
        sizes = f"{ours.shape[1]} and {theirs.shape[1]}"
        raise ConfigError(f"epsilon: unlearned and retrained have {sizes} examples")
    cuts = len(ours) // 2, len(theirs) // 2
    fitting = np.concatenate([ours[: cuts[0]], theirs[: cuts[1]]])
    judged = np.concatenate([ours[cuts[0] :], theirs[cuts[1] :]])
    first = np.zeros((1, *fitting.shape), bool)
    first[:, : cuts[0]] = True
    sides = np.arange(len(judged)) < len(ours) - cuts[0]
    game = Game("epsilon", ("unlearned", "retrained"), "mean", variance, 4)
    return fitting, first, judged, sides, game


def _best_threshold(margins: Floats, first: np.ndarray, game: Game) -> float:
    """Half-way between the two values of Lambda that the best threshold lies between."""
    ours = first[0, :, 0]
    index = np.concatenate([np.arange(ours.sum()), np.arange((~ours).sum())])
    blocks = [np.flatnonzero(index % FOLDS == g) for g in range(FOLDS)]
    ratios = held_out(margins, first, ~first, blocks, game._replace(least=2))
    by_network = ratios[0].sum(axis=1)
    values = np.unique(by_network)
    levels = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, values[-1:]])
    gains = [(by_network[ours] > v).mean() - (by_network[~ours] > v).mean() for v in levels]
    return float(levels[np.argmax(gains)])
