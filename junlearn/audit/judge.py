"""How far an ensemble is from retraining: values, nulls, p values, intervals and verdicts of one method."""

import time
from typing import Any, NamedTuple

import numpy as np

from junlearn.audit import nulls
from junlearn.audit.attacks import ATTACKS, PERMUTED, attack_quantities, iam_scores
from junlearn.audit.ensembles import Ensemble
from junlearn.audit.margins import Margins, joined
from junlearn.audit.nulls import Band, Direction
from junlearn.audit.quantities import (
    quantities,
    quantity,
    scalar_pairs,
    scalar_quantities,
    scalars,
)
from junlearn.audit.verdict import FAMILY, verdict
from junlearn.audit.yardstick import SPLIT, Yardstick
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import LEAST, too_few
from junlearn.metrics import ensemble
from junlearn.metrics.ensemble import (
    Relabelled,
    bootstraps,
    identity,
    permutations,
    splits,
)

__all__ = ["NOTHING", "Judgement", "judge", "told"]

PERMUTE, BOOTSTRAP = 11, 12
"""Streams of random numbers."""
WHOLE = 9
"""The number, in a stream, of what is about all parts together."""


class Judgement(NamedTuple):
    """What is known of one ensemble: flat numbers by name, `PART/QUANTITY`, or `QUANTITY` of the whole."""

    values: dict[str, float]
    null: dict[str, Band]
    p: dict[str, float]
    p_holm: dict[str, float]
    interval: dict[str, tuple[float, float]]
    verdict: dict[str, str]
    networks: int
    seconds: dict[str, float]


NOTHING = Judgement({}, {}, {}, {}, {}, {}, 0, {})
"""Of an ensemble in which too many networks diverged."""


def judge(yardstick: Yardstick, unlearned: Ensemble, *, conditional: bool = False) -> Judgement:
    """Compare an ensemble with the retrained one, network by network of the same number first.

    `conditional`: all of its networks come from one original.
    """
    began = time.perf_counter()
    count = min(unlearned.size, yardstick.networks)
    if count < LEAST:
        raise ConfigError(too_few(count, f"of {unlearned.name}"))
    first, second = unlearned.first(count), yardstick.retrained.first(count)
    done = Judgement({}, {}, {}, {}, {}, {}, count, {})
    for part in second.parts:
        if part in first.parts:
            both = (first.parts[part], second.parts[part])
            _part(yardstick, done, part, *both, conditional, unlearned is yardstick.twin)
    if "tow" in yardstick.families:
        _whole(yardstick, done, first, second)
    if set(ATTACKS) & set(yardstick.families):
        _attacked(yardstick, done, first, second)
    if "epsilon" in yardstick.families:
        done.values.update(
            _epsilon(yardstick, first.parts["forget"].phi, second.parts["forget"].phi)
        )
    done.seconds["metrics"] = time.perf_counter() - began
    return done


def told(
    yardstick: Yardstick, done: Judgement, unlearned: Ensemble, original: Ensemble | None
) -> dict[str, Any]:
    """The fields of a line that are about the ensembles: their numbers, what they have in common, the power."""
    sides = {
        "original": original,
        "unlearned": unlearned,
        "retrain": yardstick.retrained,
        "twin": yardstick.twin,
    }
    present = {name: side for name, side in sides.items() if side is not None}
    part = yardstick.retrained.parts
    return {
        "models": {name: side.size for name, side in present.items()} | {"compared": done.networks},
        "diverged": {name: len(side.diverged) for name, side in present.items() if side.diverged},
        "examples": {name: margins.phi.shape[1] for name, margins in part.items()},
        "rho": yardstick.rho,
        "signal_sd": ensemble.signal_sd(part["forget"].phi),
        "detectable": yardstick.detectable(done.networks),
        "detectable_on_paper": yardstick.on_paper(done.networks),
        "remarks": yardstick.remarks(),
        "seconds": done.seconds | {"null": yardstick.seconds},
    }


def _part(
    yardstick: Yardstick,
    done: Judgement,
    part: str,
    first: Margins,
    second: Margins,
    conditional: bool,
    twin: bool,
) -> None:
    count, pool = len(first.phi), joined([first, second])
    values = yardstick.computed(part, pool, identity(count, count))
    if twin:
        permuted = yardstick.permuted(part, count)
    else:
        rng = yardstick.rng(PERMUTE, len(done.verdict))
        dealt = permutations(count, count, yardstick.auditing.permutations, rng)
        permuted = yardstick.computed(part, pool, dealt)
    null = yardstick.null(part, count) if yardstick.twin is not None else permuted
    tests, closer = {}, []
    one_sided = sum(name in FAMILY and quantity(name).direction != "both" for name in values)
    for name, value in values.items():
        full, direction = f"{part}/{name}", quantity(name).direction
        _enter(yardstick, done, full, value, null[name], permuted[name], direction)
        if name in FAMILY:
            tests[name] = done.p[full]
            if nulls.closer(
                done.values[full], permuted[name], done.null[full], direction, one_sided
            ):
                closer.append(name)
    done.values.update(_beside(yardstick, part, done))
    if "moments" in yardstick.families or "churn" in yardstick.families:
        _intervals(yardstick, done, part, pool, count)
    seen = yardstick.seen(count, len(tests)) if part == "forget" else None
    text, adjusted = verdict(
        tests,
        closer,
        networks=count,
        level=yardstick.auditing.level,
        shift=seen,
        conditional=conditional,
    )
    done.verdict[part] = text
    done.p_holm.update({f"{part}/{name}": p for name, p in adjusted.items()})


def _enter(
    yardstick: Yardstick,
    done: Judgement,
    name: str,
    value: np.ndarray,
    null: np.ndarray,
    permuted: np.ndarray,
    direction: Direction,
) -> None:
    """A value float64[1], its band and its p value."""
    done.values[name] = float(value[0])
    done.null[name] = nulls.band(null, yardstick.source)
    done.p[name] = nulls.p_value(done.values[name], permuted, direction)


def _beside(yardstick: Yardstick, part: str, done: Judgement) -> dict[str, float]:
    """Values that are read against their null: how far above it, or which share of it."""
    found = {}
    klom, quality = f"{part}/klom_mean", f"{part}/F"
    if klom in done.values:
        found[f"{part}/klom_excess"] = done.values[klom] - done.null[klom].median
    if quality in done.values and done.null[quality].median > 0:
        found[f"{part}/F_over_null"] = done.values[quality] / done.null[quality].median
    return found


def _intervals(yardstick: Yardstick, done: Judgement, part: str, pool: Margins, count: int) -> None:
    """Bootstrap over networks, both sides for themselves, of what is an effect."""
    dealt = bootstraps(
        count, count, yardstick.bootstraps, yardstick.rng(BOOTSTRAP, len(done.verdict))
    )
    effects = [family for family in ("moments", "churn") if family in yardstick.families]
    found = quantities(pool, dealt, effects, yardstick.auditing, classes=yardstick.classes)
    for name, values in found.items():
        low, high = np.percentile(values, nulls.INTERVAL)
        done.interval[f"{part}/{name}"] = (float(low), float(high))


def _whole(yardstick: Yardstick, done: Judgement, first: Ensemble, second: Ensemble) -> None:
    """Tug of war and gaps of accuracy, of which the three parts are terms."""
    count = done.networks
    own = scalars(first.parts, yardstick.labels)
    pool = np.concatenate([own, scalars(second.parts, yardstick.labels)])
    rng = yardstick.rng(PERMUTE, WHOLE)
    permuted = scalar_quantities(
        pool, permutations(count, count, yardstick.auditing.permutations, rng)
    )
    null = permuted
    if (twin := yardstick.twin) is not None:
        other = scalars(twin.first(count).parts, yardstick.labels)
        halves = splits(yardstick.auditing.splits, count, yardstick.rng(SPLIT, WHOLE))
        retrained = np.concatenate([pool[count:], other])
        null = yardstick.once("whole", count, lambda: _scalar_null(retrained, halves, yardstick))
    boot = bootstraps(count, count, yardstick.bootstraps, yardstick.rng(BOOTSTRAP, WHOLE))
    spread = scalar_quantities(pool, boot)
    pairs = scalar_pairs(pool, identity(count, count))
    for name, value in scalar_quantities(pool, identity(count, count)).items():
        _enter(yardstick, done, name, value, null[name], permuted[name], quantity(name).direction)
        if quantity(name).effect:
            low, high = np.percentile(spread[name], nulls.INTERVAL)
        else:
            # Networks are paired here: both drawn anew by themselves would lose the pairs.
            mean, margin = ensemble.student_interval(pairs[name][0])
            low, high = mean - margin, mean + margin
        done.interval[name] = (float(low), float(high))


def _scalar_null(
    pool: np.ndarray, halves: Relabelled, yardstick: Yardstick
) -> dict[str, np.ndarray]:
    """Halves of one pool only pair its networks anew, so the pairs of tug of war are drawn from all that there are.

    The mean of as many independent pairs as an audit has varies as its own value does.
    """
    rng, shape = yardstick.rng(BOOTSTRAP, WHOLE + 1), halves.first.shape
    first = rng.integers(len(pool), size=shape)
    # Another network than the first.
    second = (first + rng.integers(1, len(pool), size=shape)) % len(pool)
    again = scalar_pairs(pool, Relabelled(first, second))
    return scalar_quantities(pool, halves) | {
        name: each.mean(axis=1) for name, each in again.items()
    }


def _attacked(yardstick: Yardstick, done: Judgement, first: Ensemble, second: Ensemble) -> None:
    """Attacks on single networks, each beside what they find in retrained ones."""
    count, auditing = done.networks, yardstick.auditing
    before = yardstick.original
    known = None if before is None or before.size < count else before.first(count)
    originals = None if known is None else known.parts["forget"].phi

    def told(sides: tuple[Ensemble, Ensemble], dealt: Relabelled) -> dict[str, np.ndarray]:
        pool = {n: joined([side.parts[n] for side in sides]) for n in sides[0].parts}
        few = Relabelled(*(rows[:PERMUTED] for rows in dealt))
        return attack_quantities(
            pool, yardstick.labels, few, yardstick.families, auditing, originals
        )

    rng = yardstick.rng(PERMUTE, WHOLE + 1)
    permuted = told((first, second), permutations(count, count, auditing.permutations, rng))
    null = permuted
    if (twin := yardstick.twin) is not None:
        halves = splits(auditing.splits, count, yardstick.rng(SPLIT, WHOLE + 1))
        null = yardstick.once("attacks", count, lambda: told((second, twin.first(count)), halves))
    own = told((first, second), identity(count, count))
    for name, value in own.items():
        _enter(yardstick, done, name, value, null[name], permuted[name], quantity(name).direction)
    if "iam/score" in own and originals is not None and yardstick.twin is not None:
        shadows = second.parts["forget"].phi
        sides = (first, yardstick.twin.first(count))
        scores = [iam_scores(side.parts["forget"].phi, shadows, originals) for side in sides]
        effect = ensemble.iam_against_twins(*scores)
        done.values.update({"iam/difference": effect.difference, "iam/auc": effect.area})


def _epsilon(
    yardstick: Yardstick, unlearned: np.ndarray, retrained: np.ndarray
) -> dict[str, float]:
    """Lower bounds of epsilon, each of which holds with probability 1 - level."""
    options: dict[str, Any] = {
        "variance": yardstick.auditing.variance,
        "delta": yardstick.auditing.delta,
        "alpha": yardstick.auditing.level,
    }
    return {
        "epsilon_set": ensemble.epsilon_set(unlearned, retrained, **options).epsilon,
        "epsilon_example": ensemble.epsilon_example(unlearned, retrained, **options).epsilon,
    }
