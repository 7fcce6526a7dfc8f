"""Gaussians of an example's margins in two kinds of runs, fitted without the block that they judge.

Both LiRA (in and out) and U-LiRA (unlearned and never seen) are this game. Each block of runs is judged by the fit on
all other blocks, both kinds of its runs by the same one: a perfect unlearner is then told apart with probability 1/2
whatever the fit is. Many labellings of the same margins go through at once, since a permutation test refits for each.

Shapes: margins [S, n] of S runs and n examples; a kind is bool[P, S, n], for each of P labellings.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import log_ndtr

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats, Integers

__all__ = ["Game", "Variance", "blocks_of", "held_out", "judged_by"]

Variance = Literal["auto", "own", "fixed"]
"""Of a Gaussian: that of its own example and kind; one for all examples and both kinds, the mean of theirs; or the
latter where fewer than ENOUGH runs of a kind are in a fit."""
VARIANCES = get_args(Variance)

FLOOR = 1e-6
"""Least standard deviation, relative to the pooled one and to 1."""
ENOUGH = 32
"""Runs of a kind in a fit from which "auto" takes each example's own variance."""


class Game(NamedTuple):
    """What is fitted, and how a run is scored."""

    name: str
    kinds: tuple[str, str]
    """Words for the runs that score high and those that score low."""
    location: Literal["mean", "median"]
    variance: Variance
    least: int
    """Fewest runs of a kind in a fit."""
    one_sided: bool = False
    """Score by `log Phi` under the second kind, without a fit of the first; otherwise by the ratio of the two."""


class Moments(NamedTuple):
    """Of one kind of runs, float64[P, n] each."""

    runs: Floats
    mean: Floats
    squares: Floats
    """Sum of the squared deviations from the mean."""


def blocks_of(fold: Integers, name: str) -> Sequence[Integers]:
    """The runs of each block. Raises ConfigError unless there are two blocks of at least two runs."""
    blocks = [np.flatnonzero(fold == g) for g in np.unique(fold)]
    if len(blocks) < 2:
        raise ConfigError(
            "audit: these networks were used in the fit; in-sample accuracy is 0.58 for perfect unlearning at 16 a "
            'side. Use folds, or compat="deepunlearn"'
        )
    if min(map(len, blocks)) < 2:
        raise ConfigError(
            f"audit: {name}: a fold of one run holds one kind alone; the two kinds need the same fit. Use fewer folds"
        )
    return blocks


def held_out(
    margins: Floats, first: np.ndarray, second: np.ndarray, blocks: Sequence[Integers], game: Game
) -> Floats:
    """float64[P, S, n]: the score of every run under the fit on the runs of all other blocks.

    Raises ConfigError if an example has fewer than `game.least` runs of a kind in a fit.
    """
    kinds = (second,) if game.one_sided else (first, second)
    parts = [[_moments(margins[rows], kind[:, rows]) for rows in blocks] for kind in kinds]
    fits = [[_merged(part[:g] + part[g + 1 :]) for part in parts] for g in range(len(blocks))]
    deviations = _deviations(fits, game)
    scores = np.empty((len(second), *margins.shape))
    for g, rows in enumerate(blocks):
        rest = np.concatenate([other for h, other in enumerate(blocks) if h != g])
        centres = _centres(margins[rest], [kind[:, rest] for kind in kinds], fits[g], game)
        scores[:, rows] = _scores(margins[rows], centres, deviations[g])
    return scores


def judged_by(
    margins: Floats, first: np.ndarray, second: np.ndarray, target: Floats, game: Game
) -> Floats:
    """float64[P, T, n]: the scores of T other runs' margins [T, n] under the fit on all runs."""
    kinds = (second,) if game.one_sided else (first, second)
    fit = [_moments(margins, kind) for kind in kinds]
    deviations = _deviations([fit], game)[0]
    return _scores(target, _centres(margins, kinds, fit, game), deviations)


def _moments(margins: Floats, kind: np.ndarray) -> Moments:
    count = kind.sum(axis=1).astype(np.float64)
    weight = kind.astype(np.float64)
    mean = np.einsum("psn,sn->pn", weight, margins) / np.maximum(count, 1)
    # Twice over the data: a difference of sums of squares would lose the small variance of distant kinds.
    apart = margins - mean[:, None]
    return Moments(count, mean, np.einsum("psn,psn,psn->pn", weight, apart, apart))


def _merged(parts: Sequence[Moments]) -> Moments:
    """The moments of all parts together (Chan, Golub and LeVeque 1979)."""
    counts, means, squares = (np.stack(column) for column in zip(*parts, strict=True))
    count = counts.sum(axis=0)
    mean = (counts * means).sum(axis=0) / np.maximum(count, 1)
    return Moments(count, mean, (squares + counts * (means - mean) ** 2).sum(axis=0))


def _deviations(fits: Sequence[Sequence[Moments]], game: Game) -> list[list[Floats]]:
    """The standard deviations of each fit and kind, float64[P, n]."""
    words = game.kinds[1:] if game.one_sided else game.kinds
    for fit in fits:
        for word, kind in zip(words, fit, strict=True):
            if (few := kind.runs < game.least).any():
                example = int(few.any(axis=0).argmax())
                runs = int(kind.runs[:, example].min())
                raise ConfigError(
                    f"audit: {game.name}: example {example} has {runs} {word} runs in a fit; "
                    "give more runs or fewer folds"
                )
    # One decision for the whole audit of a labelling.
    fewest = np.min([kind.runs.min(axis=1) for fit in fits for kind in fit], axis=0)[:, None]
    fixed = fewest < ENOUGH if game.variance == "auto" else game.variance == "fixed"
    deviations = []
    for fit in fits:
        variances = [kind.squares / (kind.runs - 1) for kind in fit]
        pooled = np.sqrt(np.mean(variances, axis=(0, 2)))[:, None]
        floor = FLOOR * np.maximum(1.0, pooled)
        deviations.append(
            [np.maximum(np.where(fixed, pooled, np.sqrt(v)), floor) for v in variances]
        )
    return deviations


def _centres(
    margins: Floats, kinds: Sequence[np.ndarray], fit: Sequence[Moments], game: Game
) -> list[Floats]:
    if game.location == "mean":
        return [kind.mean for kind in fit]
    order = np.argsort(margins, axis=0)
    ordered = np.take_along_axis(margins, order, axis=0)
    return [
        _medians(ordered, np.take_along_axis(kind, order[None], axis=1), moments.runs.astype(int))
        for kind, moments in zip(kinds, fit, strict=True)
    ]


def _medians(ordered: Floats, kind: np.ndarray, count: Integers) -> Floats:
    """float64[P, n]: the median of those of the ordered margins that are of the kind."""
    reached = np.cumsum(kind, axis=1, dtype=np.int32)
    low = (reached <= ((count - 1) // 2)[:, None]).sum(axis=1)
    high = (reached <= (count // 2)[:, None]).sum(axis=1)
    low_value, high_value = (np.take_along_axis(ordered, place, axis=0) for place in (low, high))
    return 0.5 * (low_value + high_value)


def _scores(margins: Floats, centres: Sequence[Floats], deviations: Sequence[Floats]) -> Floats:
    units = [
        (margins - centre[:, None]) / deviation[:, None]
        for centre, deviation in zip(centres, deviations, strict=True)
    ]
    if len(units) == 1:
        return log_ndtr(units[0])
    gap = np.log(deviations[1] / deviations[0])[:, None]
    return 0.5 * (units[1] ** 2 - units[0] ** 2) + gap
