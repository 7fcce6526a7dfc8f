"""U-LiRA: can "included and then unlearned" be told from "never seen", run by run and example by example?

Design random: every run was trained with half of the examples of each block, by coins, and was then asked to forget
them. After Hayes et al., "Inexact Unlearning Needs More Careful Evaluations", 2024, with two conditions that make 1/2
the value of a perfect unlearner: a run is judged by the fit on the other blocks, and both kinds of its runs by the
same fit.

    L = log N(phi; unlearned) - log N(phi; never),  "forgotten member" if L > 0

with means and deviations (n - 1), floored as LiRA's. Shapes: S runs, n examples, P relabellings.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given
from junlearn.metrics.ensemble.fits import VARIANCES, Game, Variance, blocks_of, held_out
from junlearn.metrics.ensemble.roc import check_rate, rates_of_many

__all__ = [
    "IN_SAMPLE_TITLE",
    "KEPT",
    "NEVER",
    "UNLEARNED",
    "Ulira",
    "UliraNull",
    "enough_runs",
    "permuted_coins",
    "retain_exposure",
    "ulira",
    "ulira_in_sample",
    "ulira_relabelled",
]

KEPT, UNLEARNED, NEVER = 0, 1, 2
"""The values of a status: not judged in this run; included and then forgotten; never seen."""

IN_SAMPLE_TITLE = "U-LiRA of Deep Unlearn (in-sample)"
"""How `ulira_in_sample` is to be called wherever it is shown."""

BATCH = 1 << 20
"""Margins that are judged at once, over all relabellings."""


class Ulira(NamedTuple):
    """The game, played by held-out runs."""

    llr: Floats
    """float64[S, n]: L of every run; NaN where the status is `KEPT`."""
    example_accuracy: Floats
    """float64[n]: mean of the two shares that are called rightly."""
    accuracy: float
    """Its mean over the examples; 1/2 for perfect unlearning."""
    pooled_accuracy: float
    """The mean of the two shares over all examples and runs together."""
    area: float
    """Area under the curve of all L, examples and runs pooled."""
    tpr: Floats
    """float64[q]: true positive rate at each of the rates asked for."""


class UliraNull(NamedTuple):
    """The same under P relabellings."""

    example_accuracy: Floats
    """float64[P, n]"""
    accuracy: Floats
    pooled_accuracy: Floats
    area: Floats
    tpr: Floats
    """float64[P, q]"""


def ulira(
    phi: Any,
    status: Any,
    fold: Any,
    *,
    variance: Variance = "auto",
    least: int = 4,
    rates: Sequence[float] = (),
) -> Ulira:
    """Plays the game on margins `phi` float[S, n], with `status` int[S, n] and the block of each run `fold` int[S].

    `variance` as LiRA's; `least`: fewest runs of a kind in a fit; `rates`: false positive rates for `tpr`. Raises
    ConfigError for shapes that do not fit, numbers that are not finite, a single fold (the runs would judge
    themselves), folds of one run, an example with too few runs of a kind in a fit, and a rate that no threshold
    reaches.
    """
    margins = given.numbers(phi, "ulira: phi", ("runs", "examples"))
    kinds = _status(status, margins.shape)
    unlearned, judged = kinds == UNLEARNED, kinds != KEPT
    llr = _scores(margins, unlearned[None], judged, fold, _game(variance, least))
    found = _values(llr, unlearned[None], judged, rates)
    return Ulira(
        np.where(judged, llr[0], np.nan),
        found.example_accuracy[0],
        float(found.accuracy[0]),
        float(found.pooled_accuracy[0]),
        float(found.area[0]),
        found.tpr[0],
    )


def ulira_relabelled(
    phi: Any,
    judged: Any,
    relabellings: Iterable[Any],
    fold: Any,
    *,
    variance: Variance = "auto",
    least: int = 4,
    rates: Sequence[float] = (),
) -> UliraNull:
    """The values of `ulira` under each relabelling, refitted for each: its null, with `permuted_coins`.

    `judged` bool[S, n]: status not `KEPT`. Each relabelling is bool[S, n], True for what counts as unlearned; they
    may be an array [P, S, n] or come one by one. A batch of at most a million margins is in memory at a time. Errors
    as of `ulira`, and for no relabelling at all.
    """
    margins = given.numbers(phi, "ulira: phi", ("runs", "examples"))
    mask = given.flags(judged, "ulira: judged", margins.shape)
    game = _game(variance, least)
    step = max(1, BATCH // margins.size)
    coming = (given.flags(labels, "ulira: relabelling", margins.shape) for labels in relabellings)
    parts = []
    while batch := list(islice(coming, step)):
        unlearned = np.stack(batch) & mask
        scores = _scores(margins, unlearned, mask, fold, game)
        parts.append(_values(scores, unlearned, mask, rates))
    if not parts:
        raise ConfigError("ulira: there are no relabellings")
    return UliraNull(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def permuted_coins(
    coins: Any, judged: Any, block: Any, draws: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """`draws` relabellings bool[S, n]: each example's coins, permuted among the judged runs of each block.

    `coins` bool[S, n]: included and forgotten; `judged` bool[S, n]; `block` int[S]. Under perfect unlearning they are
    as likely as the coins that were tossed, whatever the correlation between examples: the test is exact. Where a run
    holds several forget sets, `judged` must be the pairs of one of them.
    """
    mask = given.flags(
        judged, "permuted_coins: judged", given.shape_of(judged, "permuted_coins: judged")
    )
    tossed = given.flags(coins, "permuted_coins: coins", mask.shape) & mask
    blocks = given.whole(block, "permuted_coins: block", mask.shape[:1])
    rows_of_blocks = [np.flatnonzero(blocks == b) for b in np.unique(blocks)]
    for _ in range(draws):
        drawn = np.zeros(mask.shape, bool)
        for rows in rows_of_blocks:
            lots = np.where(mask[rows], generator.random((len(rows), mask.shape[1])), 2.0)
            first = np.arange(len(rows))[:, None] < tossed[rows].sum(axis=0)
            chosen = np.zeros(lots.shape, bool)
            np.put_along_axis(chosen, np.argsort(lots, axis=0), first, axis=0)
            drawn[rows] = chosen
        yield drawn


def enough_runs(status: Any, fold: Any, least: int = 4) -> np.ndarray:
    """bool[n]: the examples that have `least` runs of each kind in every fit, and so can be judged by `ulira`."""
    shape = given.shape_of(status, "ulira: status")
    kinds = _status(status, shape)
    folds = given.whole(fold, "enough_runs: fold", shape[:1])
    counts = [
        (kinds[folds != g] == kind).sum(axis=0)
        for g in np.unique(folds)
        for kind in (UNLEARNED, NEVER)
    ]
    return np.min(counts, axis=0) >= least


def retain_exposure(
    after: Any,
    before: Any,
    included: Any,
    fold: Any,
    *,
    variance: Variance = "auto",
    least: int = 4,
) -> float:
    """How much easier kept examples are recognised since others were unlearned; 0 if nothing changed.

    The accuracy of the game between *kept* (included and not forgotten) and *never* on margins `after` float[S, n] of
    networks where neither is forgotten, minus that of the same pairs on the runs `before` unlearning. `included`
    bool[S, n]. Both are scored by one game, with means, so that a method which does nothing scores 0 exactly.
    """
    shape = given.numbers(after, "retain_exposure: after", ("runs", "examples")).shape
    ins = given.flags(included, "retain_exposure: included", shape)
    status = np.where(ins, UNLEARNED, NEVER)
    now, then = (
        ulira(phi, status, fold, variance=variance, least=least) for phi in (after, before)
    )
    return now.accuracy - then.accuracy


def ulira_in_sample(forgotten: Any, never: Any) -> Floats:
    """float64[N, n]: the membership probability of the Deep Unlearn code, to compare with published numbers.

    `forgotten` bool[N, n] and `never` bool[M, n]: whether a network answered the example rightly, in runs that forgot
    it and in those that never saw it. Gaussians of divisor n on these 0/1 outcomes, judged on the runs that they were
    fitted to; no never-seen run is judged, so that no false positive counts. NaN where all outcomes of a kind agree.
    Show it under `IN_SAMPLE_TITLE` alone.
    """
    sides = [
        given.numbers(value, f"ulira_in_sample: {name}", ("runs", "examples"))
        for name, value in (("forgotten", forgotten), ("never", never))
    ]
    if sides[0].shape[1] != sides[1].shape[1]:
        counts = " and ".join(str(side.shape[1]) for side in sides)
        raise ConfigError(f"ulira_in_sample: the two sides have {counts} examples")
    if not np.isin(np.concatenate(sides), (0, 1)).all():
        raise ConfigError("ulira_in_sample: outcomes are right (1) or wrong (0)")
    with np.errstate(divide="ignore", invalid="ignore"):
        densities = [
            np.exp(-0.5 * ((sides[0] - side.mean(axis=0)) / side.std(axis=0)) ** 2)
            / side.std(axis=0)
            for side in sides
        ]
        return densities[0] / (densities[0] + densities[1])


def _game(variance: Variance, least: int) -> Game:
    given.one_of(variance, "ulira: variance", VARIANCES)
    return Game("ulira", ("unlearned", "never-seen"), "mean", variance, max(least, 2))


def _status(status: Any, shape: Sequence[int]) -> np.ndarray:
    kinds = given.whole(status, "ulira: status", shape)
    if not np.isin(kinds, (KEPT, UNLEARNED, NEVER)).all():
        raise ConfigError("ulira: a status is 0 (kept), 1 (unlearned) or 2 (never seen)")
    return kinds


def _scores(
    margins: Floats, unlearned: np.ndarray, judged: np.ndarray, fold: Any, game: Game
) -> Floats:
    if fold is None:
        fold = np.zeros(len(margins), int)
    blocks = blocks_of(given.whole(fold, "ulira: fold", margins.shape[:1]), "ulira")
    return held_out(margins, unlearned, judged & ~unlearned, blocks, game)


def _values(
    llr: Floats, unlearned: np.ndarray, judged: np.ndarray, rates: Sequence[float]
) -> UliraNull:
    never = judged & ~unlearned
    for q in rates:
        check_rate(q, int(never.sum(axis=(1, 2)).min()))
    called = llr > 0
    right = [(called & unlearned).sum(axis=1), (~called & never).sum(axis=1)]
    of = [unlearned.sum(axis=1), never.sum(axis=1)]
    by_example = (right[0] / of[0] + right[1] / of[1]) / 2
    pooled = sum(r.sum(axis=1) / n.sum(axis=1) for r, n in zip(right, of, strict=True)) / 2
    curve = rates_of_many(llr[:, judged], unlearned[:, judged], rates)
    return UliraNull(by_example, by_example.mean(axis=1), pooled, curve.area, curve.tpr)
