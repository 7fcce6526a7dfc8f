"""The numbers of the design "random": attacks on runs, whose null are coins that were permuted within blocks.

With F requests a run the networks of a run see the coins of each other's groups, but network (s, f) never those of its
own. So each group is judged by itself, with its own permutations, and p = min(1, F min_f p_f) over the groups
(Bonferroni). Values are means over the groups.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from junlearn.audit import nulls
from junlearn.audit.coins import Coins
from junlearn.audit.ensembles import Ensemble
from junlearn.audit.judge import Judgement
from junlearn.audit.margins import label_probability
from junlearn.audit.nulls import Band
from junlearn.audit.quantities import rate_name, reachable, unreachable
from junlearn.audit.random_compat import IN_SAMPLE, in_sample_probability, lira_released_auc
from junlearn.audit.verdict import RANDOM_FAMILY, verdict
from junlearn.experiment.auditing import Auditing, families, needed
from junlearn.metrics import ensemble

__all__ = ["Runs", "judge_runs", "judge_unlearned"]

EXPOSED = 6
FLAGGED = 0.1
"""Of the flagged examples, the share that may be flagged wrongly."""
REFERENCE_PERMUTATIONS = 199
"""Of RMIA and RULI, each of which asks every network anew; more where fewer could not pass Holm."""
KEPT, UNLEARNED, NEVER = 0, 1, 2
NEVER_SEEN = "never-seen scores"
COINS = 13
"""A stream of random numbers."""

Told = tuple[Judgement, dict[str, Any], dict[str, np.ndarray]]


class Runs(NamedTuple):
    """S runs, what they know of n targets, and how they are judged."""

    coins: Coins
    before: Ensemble
    """The runs themselves: targets as "forget", and the test set."""
    folds: np.ndarray
    """int[S]."""
    labels: Mapping[str, np.ndarray]
    auditing: Auditing


class _Found(NamedTuple):
    """Quantities in one group, and under permuted coins."""

    values: dict[str, float]
    null: dict[str, np.ndarray]


def judge_runs(runs: Runs) -> Told:
    """Is there anything to forget? LiRA on the runs before unlearning: members against the others."""
    began = time.perf_counter()
    auditing, phi = runs.auditing, runs.before.parts["forget"].phi
    included, everything = runs.coins.included, np.ones_like(runs.coins.included)
    rates = reachable(auditing, int((~included).sum()))
    found: list[_Found] = []
    remarks = unreachable(auditing, int((~included).sum()), NEVER_SEEN)
    if "lira" in families(auditing):
        options: dict[str, Any] = {"variance": auditing.variance, "least": 4}
        scores = ensemble.lira_held_out(phi, included, runs.folds, **options)
        own = ensemble.rates_of_many(scores.ravel(), included.ravel(), rates)
        coins = list(_permuted(runs, included, everything, auditing.permutations, 0))
        null = ensemble.lira_relabelled(phi, coins, runs.folds, **options)
        permuted = [
            _plain(ensemble.rates_of_many(each.ravel(), toss.ravel(), rates), rates)
            for each, toss in zip(null, coins, strict=True)
        ]
        found.append(_of("lira", _plain(own, rates), permuted))
    done = _judged(found, 1, runs, began)
    if "released" in auditing.compat:
        done.values["lira_released/auc"] = lira_released_auc(phi, included)
    return done, _told(runs, "run", len(included), remarks), {}


def judge_unlearned(runs: Runs, after: Ensemble) -> Told:
    """Can forgotten targets be told from those that the run never saw? One network a run and request."""
    began = time.perf_counter()
    auditing, drawn = runs.auditing, runs.coins
    shape = drawn.included.shape
    networks = after.parts["forget"].phi.reshape(shape[0], drawn.sets, shape[1])
    own = np.take_along_axis(networks, drawn.group[:, None], axis=1)[:, 0]
    asked = families(auditing)
    negatives = int((~drawn.included).sum()) // drawn.sets
    rates = reachable(auditing, negatives)
    remarks = unreachable(auditing, negatives, NEVER_SEEN)
    found: list[_Found] = []
    arrays: dict[str, np.ndarray] = {}
    values: dict[str, float] = {}
    ratios, smallest = np.full(shape, np.nan), np.ones(shape[1])
    for group in range(drawn.sets):
        judged = drawn.group == group
        status = np.where(judged, np.where(drawn.included, UNLEARNED, NEVER), KEPT)
        if "ulira" in asked or "one_run" in asked:
            game, each, p = _ulira(runs, own, status, group, rates)
            ratios[judged] = game.llr[judged]
            smallest = np.minimum(smallest, p)
            if "ulira" in asked:
                found.append(each)
        if "rmia" in asked and "test" in after.parts:
            found.append(_rmia(runs, after, own, judged, group, rates))
        if "ruli" in asked:
            found.append(_ruli(runs, own, status, judged, rates))
    if "ulira" in asked:
        arrays = _examples(drawn, ratios, np.minimum(1, drawn.sets * smallest))
        flagged = ensemble.benjamini_hochberg(arrays["p"], FLAGGED)
        values["ulira/flagged"] = float(flagged.sum())
    if "one_run" in asked:
        bounds = [_one_run(ratios, drawn, group, auditing) for group in range(drawn.sets)]
        everything = np.concatenate(bounds)
        values["epsilon_one_run"] = float(np.median(everything))
        values["epsilon_one_run_high"] = float(everything.max())
    if "deepunlearn" in auditing.compat:
        right = after.parts["forget"].predicted == runs.labels["forget"]
        values[IN_SAMPLE] = in_sample_probability(right.reshape(networks.shape), drawn)
    if drawn.sets > 1 and "ulira" in asked:
        values["retain_exposure"] = _exposure(runs, networks)
    done = _judged(found, drawn.sets, runs, began)
    done.values.update(values)
    return done, _told(runs, after.name, after.size, remarks), arrays


def _of(family: str, values: Mapping[str, float], permuted: list[dict[str, float]]) -> _Found:
    return _Found(
        {f"{family}/{name}": value for name, value in values.items()},
        {f"{family}/{name}": np.array([each[name] for each in permuted]) for name in values},
    )


def _permuted(
    runs: Runs, included: np.ndarray, judged: np.ndarray, count: int, number: int
) -> Iterator[np.ndarray]:
    rng = np.random.default_rng((runs.auditing.seed, COINS, number))
    return ensemble.permuted_coins(included & judged, judged, runs.coins.block, count, rng)


def _ulira(
    runs: Runs, own: np.ndarray, status: np.ndarray, group: int, rates: tuple[float, ...]
) -> tuple[Any, _Found, np.ndarray]:
    """The held-out game of one group, the same under permuted coins, and the p value of each target."""
    options: dict[str, Any] = {"variance": runs.auditing.variance, "rates": rates}
    game = ensemble.ulira(own, status, runs.folds, **options)
    judged = status != KEPT
    coins = _permuted(runs, status == UNLEARNED, judged, runs.auditing.permutations, group)
    null = ensemble.ulira_relabelled(own, judged, coins, runs.folds, **options)
    names = ["accuracy", "auc", *map(rate_name, rates)]
    values = [game.accuracy, game.area, *game.tpr]
    nulls_of = [null.accuracy, null.area, *null.tpr.T]
    each = _Found(
        {f"ulira/{name}": float(value) for name, value in zip(names, values, strict=True)},
        {f"ulira/{name}": value for name, value in zip(names, nulls_of, strict=True)},
    )
    return game, each, ensemble.permutation_p(game.example_accuracy, null.example_accuracy)


def _rmia(
    runs: Runs,
    after: Ensemble,
    own: np.ndarray,
    judged: np.ndarray,
    group: int,
    rates: tuple[float, ...],
) -> _Found:
    """RMIA with networks of other folds that never saw the example as references; strangers are test examples."""
    drawn = runs.coins
    runs_, targets = own.shape
    strangers = after.parts["test"].phi.reshape(runs_, drawn.sets, -1)[:, group]
    compat: Literal["released"] | None = "released" if "released" in runs.auditing.compat else None
    p, q = label_probability(own), label_probability(strangers)

    def scores(included: np.ndarray) -> np.ndarray:
        found = np.full((runs_, targets), np.nan)
        for fold in np.unique(runs.folds):
            others = runs.folds != fold
            references, seen = p[others], (included | ~judged)[others]
            for s in np.flatnonzero(~others):
                mine = judged[s] & (~seen).any(axis=0)
                found[s, mine] = ensemble.rmia(
                    *(p[s, mine], references[:, mine], q[s], q[others]),
                    included=seen[:, mine],
                    compat=compat,
                )
        return found

    def told(included: np.ndarray) -> dict[str, float]:
        found = scores(included)
        there = judged & np.isfinite(found)
        return _plain(ensemble.rates_of_many(found[there], included[there], rates), rates)

    count = min(max(REFERENCE_PERMUTATIONS, needed(runs.auditing)), runs.auditing.permutations)
    permuted = [told(coins) for coins in _permuted(runs, drawn.included, judged, count, group)]
    return _of("rmia", told(drawn.included), permuted)


def _ruli(
    runs: Runs, own: np.ndarray, status: np.ndarray, judged: np.ndarray, rates: tuple[float, ...]
) -> _Found:
    """The privacy ratio with every run in turn as the target; coins are permuted under fixed scores' folds."""
    bandwidth = ensemble.RELEASED_BANDWIDTH if "released" in runs.auditing.compat else None

    def told(included: np.ndarray) -> dict[str, float]:
        kinds = np.where(judged, np.where(included, UNLEARNED, NEVER), KEPT)
        ratio = ensemble.ruli_held_out(own, kinds, runs.folds, bandwidth=bandwidth)
        return _plain(ensemble.rates_of_many(ratio[judged], included[judged], rates), rates)

    included = status == UNLEARNED
    count = min(max(REFERENCE_PERMUTATIONS, needed(runs.auditing)), runs.auditing.permutations)
    group = int(runs.coins.group[judged][0])
    permuted = [told(coins) for coins in _permuted(runs, included, judged, count, group)]
    return _of("ruli", told(included), permuted)


def _examples(drawn: Coins, ratios: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Per target: held-out accuracy, p value over all groups, and which targets tell most."""
    right = np.where(drawn.included, ratios > 0, ratios <= 0)
    kinds = (drawn.included, ~drawn.included)
    accuracy = np.mean([np.mean(right, axis=0, where=kind) for kind in kinds], axis=0)
    order = np.argsort(-accuracy, kind="stable")[:EXPOSED]
    return {"accuracy": accuracy, "p": p, "exposed": order}


def _one_run(ratios: np.ndarray, drawn: Coins, group: int, auditing: Auditing) -> np.ndarray:
    judged = drawn.group == group
    status = np.where(judged, np.where(drawn.included, UNLEARNED, NEVER), KEPT)
    llr = np.where(judged, ratios, np.nan)
    # Half of epsilon bounds unlearning where delta is 0.
    found = ensemble.one_run(llr, status, alpha=auditing.level)
    return found.by_run


def _exposure(runs: Runs, networks: np.ndarray) -> float:
    """The retain question, in the next request of each run: there the target is neither forgotten nor new."""
    drawn = runs.coins
    other = (drawn.group + 1) % drawn.sets
    kept = np.take_along_axis(networks, other[:, None], axis=1)[:, 0]
    before = runs.before.parts["forget"].phi
    return ensemble.retain_exposure(
        kept, before, drawn.included, runs.folds, variance=runs.auditing.variance
    )


def _judged(found: list[_Found], groups: int, runs: Runs, began: float) -> Judgement:
    """Means over the groups, bands of the means, and p values for the smallest of the groups."""
    values: dict[str, list[float]] = {}
    null: dict[str, list[np.ndarray]] = {}
    for each in found:
        for name, value in each.values.items():
            values.setdefault(name, []).append(value)
            null.setdefault(name, []).append(each.null[name])
    bands: dict[str, Band] = {}
    p: dict[str, float] = {}
    for name, drawn in null.items():
        bands[name] = nulls.band(np.mean(drawn, axis=0), "coins")
        each_p = [nulls.p_value(v, d, "large") for v, d in zip(values[name], drawn, strict=True)]
        p[name] = min(1.0, groups * min(each_p))
    tests = {name: p[name] for name in RANDOM_FAMILY if name in p}
    text, adjusted = verdict(
        tests, (), networks=len(runs.coins.included) // 2, level=runs.auditing.level, shift=None
    )
    means = {name: float(np.mean(each)) for name, each in values.items()}
    seconds = {"metrics": time.perf_counter() - began}
    return Judgement(means, bands, p, adjusted, {}, {"forget": text}, len(runs.folds) // 2, seconds)


def _told(runs: Runs, name: str, networks: int, remarks: list[str]) -> dict[str, Any]:
    part = runs.before.parts
    rho = ensemble.rho(part["forget"].phi)
    return {
        "models": {"run": runs.before.size, "unlearned": 0 if name == "run" else networks},
        "examples": {where: margins.phi.shape[1] for where, margins in part.items()},
        "rho": {"forget": rho},
        "signal_sd": ensemble.signal_sd(part["forget"].phi),
        "diverged": {},
        "detectable": {},
        "remarks": remarks,
    }


def _plain(found: Any, at: tuple[float, ...]) -> dict[str, float]:
    """Of one score vector: AUC, best balanced accuracy and true positive rates by name."""
    names = ["auc", "accuracy", *map(rate_name, at)]
    values = [found.area[0], found.accuracy[0], *found.tpr[0]]
    return {name: float(value) for name, value in zip(names, values, strict=True)}
