"""The efficacy game: can held-out networks be told apart by a likelihood ratio that was fitted on others?

Networks are put in folds by their index. For each fold and example, one Gaussian is fitted to the margins of the
unlearned networks outside of the fold, one to those of the retrained ones. A network of the fold with margin x scores

    L = log N(x; unlearned) - log N(x; retrained)

and is called unlearned where L > 0 (U-LiRA, Hayes et al. 2024, for one request). Both kinds of held-out networks are
judged by the same fit: then the accuracy under perfect unlearning is 1/2 on average, whatever the law of the margins.
In-sample it would be 0.54 at 64 networks a side.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from junlearn.errors import ConfigError, unknown
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble.fits import ENOUGH, FLOOR, VARIANCES, Variance
from junlearn.metrics.ensemble.pooled_curve import allowed_alarms, pooled_curve
from junlearn.metrics.ensemble.relabelled import Relabelled, check_deal, pool_of

__all__ = ["Crossfit", "ResampledCrossfit", "crossfit", "resampled_crossfit"]

LEAST = 4
"""Networks of a kind in a fit."""


class Crossfit(NamedTuple):
    """The game for one ensemble against another."""

    accuracy: float
    """The mean of `per_example`; 1/2 under perfect unlearning."""
    auc: float
    """Of all scores, every pair of an example and a network."""
    tpr: dict[float, float]
    """False positive rate q -> the largest true positive rate with a false one of at most q."""
    per_example: Floats
    """float64[n]: the mean of the two shares of networks that were called what they are."""
    llr_unlearned: Floats
    """float64[N,n]: L of the unlearned networks, each held out."""
    llr_retrained: Floats
    """float64[N',n]."""


class ResampledCrossfit(NamedTuple):
    """The same for each of P ways to deal out a pool."""

    accuracy: Floats
    """float64[P]."""
    auc: Floats
    """float64[P]."""
    tpr: dict[float, Floats]
    """False positive rate -> float64[P]."""
    per_example: np.ndarray
    """float32[P,n]."""


class _Game(NamedTuple):
    """What is common to all ways to deal out a pool."""

    margins: Floats
    """float64[M,n], about the mean of every example."""
    least: Floats
    """float64[n]: the least variance."""
    fixed: bool
    folds: int
    alarms: dict[float, int]


def crossfit(
    unlearned: np.ndarray,
    retrained: np.ndarray,
    *,
    folds: int = 4,
    variance: Variance = "auto",
    fpr: Sequence[float] = (),
) -> Crossfit:
    """The game from margins `[N,n]` and `[N',n]`; network i is in fold `i mod folds`.

    Raises ConfigError if margins are not finite, a fit would have fewer than 4 networks of a kind, or a false positive
    rate is less than one in all scores of retrained networks.
    """
    pool, dealt = pool_of(unlearned, retrained)
    game = _game(pool, dealt, folds, variance, fpr)
    scores = [np.empty((side.shape[1], pool.shape[1])) for side in dealt]
    _score(game, dealt.first[0], dealt.second[0], scores)
    per_example = _shares(scores)
    auc, rates = pooled_curve(scores[0], scores[1], game.alarms.values())
    tpr = dict(zip(game.alarms, rates, strict=True))
    return Crossfit(float(per_example.mean()), auc, tpr, per_example, scores[0], scores[1])


def resampled_crossfit(
    pool: np.ndarray,
    relabelled: Relabelled,
    *,
    folds: int = 4,
    variance: Variance = "auto",
    fpr: Sequence[float] = (),
    curve: bool = True,
) -> ResampledCrossfit:
    """The game for each way to deal out the pool `[M,n]`, every fit made anew. Raises as `crossfit` does.

    Without `curve` the AUC is NaN and there are no true positive rates: sorting all scores is most of the work.
    """
    rows = check_deal(pool, relabelled)
    game = _game(rows, relabelled, folds, variance, fpr if curve else ())
    ways = len(relabelled.first)
    auc = np.full(ways, np.nan)
    tpr = np.empty((len(game.alarms), ways))
    per_example = np.empty((ways, rows.shape[1]))
    scores = [np.empty((side.shape[1], rows.shape[1])) for side in relabelled]
    for way, (first, second) in enumerate(zip(*relabelled, strict=True)):
        _score(game, first, second, scores)
        per_example[way] = _shares(scores)
        if curve:
            auc[way], tpr[:, way] = pooled_curve(scores[0], scores[1], game.alarms.values())
    rates = dict(zip(game.alarms, tpr, strict=True))
    return ResampledCrossfit(per_example.mean(axis=1), auc, rates, per_example.astype(np.float32))


def _game(
    pool: Floats, dealt: Relabelled, folds: int, variance: Variance, fpr: Sequence[float]
) -> _Game:
    sizes = {
        kind: side.shape[1] for kind, side in zip(("unlearned", "retrained"), dealt, strict=True)
    }
    if variance not in VARIANCES:
        raise unknown("variance", variance, VARIANCES)
    if folds < 2:
        raise ConfigError(
            f"efficacy: {folds} folds; a network needs a fit without it, so at least 2"
        )
    fitted = {kind: size - -(-size // folds) for kind, size in sizes.items()}
    for kind, number in fitted.items():
        if number < LEAST or sizes[kind] < folds:
            raise ConfigError(
                f"efficacy: {number} {kind} networks in a fit and {sizes[kind] // folds} held out; it needs "
                f"{LEAST} and 1: give more networks or other folds"
            )
    centred = np.where(np.ptp(pool, axis=0) > 0, pool - pool.mean(axis=0), 0.0)
    least = (FLOOR * np.maximum(1.0, centred.std(axis=0, ddof=1))) ** 2
    fixed = variance == "fixed" or (variance == "auto" and min(fitted.values()) < ENOUGH)
    negatives = sizes["retrained"] * pool.shape[1]
    alarms = {rate: allowed_alarms(rate, negatives) for rate in fpr}
    return _Game(centred, least, fixed, folds, alarms)


def _score(game: _Game, first: np.ndarray, second: np.ndarray, scores: list[Floats]) -> None:
    """Write L of both sides into `scores`, each network's from the fit without its fold."""
    sides = [game.margins[rows] for rows in (first, second)]
    sums = [_fold_sums(side, game.folds) for side in sides]
    for fold in range(game.folds):
        means, variances = [], []
        for side, (totals, squares) in zip(sides, sums, strict=True):
            number = len(side) - len(side[fold :: game.folds])
            mean = (totals.sum(axis=0) - totals[fold]) / number
            spread = squares.sum(axis=0) - squares[fold] - number * mean**2
            means.append(mean)
            variances.append(spread / (number - 1))
        if game.fixed:
            variances = [np.full_like(game.least, (variances[0] + variances[1]).mean() / 2)] * 2
        variances = [np.maximum(variance, game.least) for variance in variances]
        scale = [np.sqrt(0.5 / variance) for variance in variances]
        constant = 0.5 * np.log(variances[1] / variances[0])
        for side, score in zip(sides, scores, strict=True):
            held = side[fold :: game.folds]
            found, other = ((held - mean) * width for mean, width in zip(means, scale, strict=True))
            found *= found
            other *= other
            other -= found
            other += constant
            score[fold :: game.folds] = other


def _fold_sums(side: Floats, folds: int) -> tuple[Floats, Floats]:
    """The sums and the sums of squares [folds,n] of the networks of every fold."""
    parts = [side[fold::folds] for fold in range(folds)]
    squares = [np.einsum("sn,sn->n", part, part) for part in parts]
    return np.stack([part.sum(axis=0) for part in parts]), np.stack(squares)


def _shares(scores: list[Floats]) -> Floats:
    """Per example the mean of the two shares that are right."""
    return ((scores[0] > 0).mean(axis=0) + (scores[1] <= 0).mean(axis=0)) / 2
