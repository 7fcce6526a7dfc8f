"""The section `[audit]` of a configuration: how many networks an audit trains, and what it computes of them."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from msgspec import Meta

from junlearn.errors import ConfigError
from junlearn.fields import Count, Whole

__all__ = [
    "BLOCK",
    "DESIGN_METRICS",
    "ENOUGH",
    "FEW",
    "LEAST",
    "Auditing",
    "Compat",
    "Family",
    "check",
    "families",
    "needed",
    "too_few",
    "twins",
]

Share = Annotated[float, Meta(gt=0, lt=1)]
Family = Literal[
    "energy",
    "moments",
    "efficacy",
    "forgetting_quality",
    "klom",
    "tow",
    "churn",
    "epsilon",
    "rmia",
    "iam",
    "lira",
    "ulira",
    "one_run",
    "ruli",
]
"""Metrics of ensembles; each gives several numbers."""
Compat = Literal["easydub", "bench2410", "released", "deepunlearn", "one_original"]
"""Forms of released codes, beside or in the place of the right ones."""

REQUEST: tuple[Family, ...] = (
    *("energy", "moments", "efficacy", "forgetting_quality"),
    *("klom", "tow", "churn", "epsilon"),
)
RANDOM: tuple[Family, ...] = ("lira", "ulira", "rmia", "one_run")
DESIGN_METRICS: dict[str, tuple[Family, ...]] = {"request": REQUEST, "random": RANDOM}
"""What is computed where the section names no metrics."""
POSSIBLE: dict[str, tuple[Family, ...]] = {
    "request": (*REQUEST, "lira", "rmia", "iam"),
    "random": (*RANDOM, "ruli"),
}
"""What a design has the networks for."""
LEAST = 8
"""Networks on a side that the tests need."""
TESTS: dict[str, dict[str, int]] = {
    "request": {"energy": 1, "moments": 2, "efficacy": 1, "forgetting_quality": 1, "klom": 1},
    "random": {"ulira": 2, "rmia": 1},
}
"""Tests that decide on a method, by family; in the design random each of them in every forget set."""
BLOCK = 8
"""Design random: runs within which every target is in exactly half of them."""


@dataclass(frozen=True, kw_only=True)
class Auditing:
    """How an audit is made; see `junlearn/audit/README.md`."""

    design: Literal["request", "random"] = "request"
    """request: the forget set of the scenario, on many networks. random: many runs, each with forget sets of its own
    drawn from a pool of targets."""
    models: Count = 32
    """Networks of each ensemble; in the design random half of the runs."""
    twins: Whole | None = None
    """Networks of the second retrained ensemble, the null; None: as many as `models`. 0: none, the null bands then come
    from the unlearned and the retrained networks pooled."""
    originals: Literal["each", "one"] = "each"
    """one: all unlearned networks come from one original, as released codes do it; needs compat = ["one_original"]."""
    pairing: Literal["decoupled", "matched"] = "decoupled"
    """matched: original i and retrained network i share initialisation and order; laws cannot be compared then."""
    metrics: tuple[Family, ...] | None = None
    """None: energy, moments, efficacy, forgetting_quality, klom, tow, churn and epsilon; of the design random lira,
    ulira, rmia and one_run."""
    folds: Annotated[int, Meta(ge=2, le=64)] = 4
    """Parts that are left out of a fit in turn; in the design random the blocks of runs."""
    forget_sets: Annotated[int, Meta(ge=1, le=64)] = 2
    """Design random: forget sets that a run has; of 1 the question about kept examples cannot be asked."""
    targets: Count = 1000
    """Design random: examples that are in half of the runs, at most those that there are."""
    retain_rows: Count = 2000
    """Retain examples whose outputs are kept, at most those that there are."""
    variance: Literal["auto", "own", "fixed"] = "auto"
    """Of the Gaussians: own of each example, or one for all; auto: fixed below 32 networks of a kind in a fit."""
    splits: Annotated[int, Meta(ge=20, le=100_000)] = 200
    """Random halves of the retrained networks that make a null band."""
    permutations: Annotated[int, Meta(ge=99, le=1_000_000)] = 999
    """Times that whole networks change sides at random, for a p value; in the design random coins are permuted."""
    level: Share = 0.05
    """Of the verdict, over all tests of it together."""
    delta: Annotated[float, Meta(ge=0, lt=1)] = 1e-5
    """Of (epsilon, delta)-unlearning."""
    fpr: tuple[Share, ...] = (0.01, 0.001)
    """False positive rates at which the true positive rate is told."""
    keep: Literal["logits", "margins"] = "logits"
    """margins: of each output only the margin of the label and the predicted class."""
    save_weights: bool = False
    """Keep the weights of the retrained and of the unlearned networks too; those of the originals are always kept."""
    mixed: bool = False
    """Whether an ensemble may hold networks of several versions of the code, or of several kinds of device."""
    seed: Whole = 0
    """Of the sample of retain examples, the splits and the permutations; in the design random of targets and coins."""
    compat: tuple[Compat, ...] = ()
    """Forms of released codes: easydub or bench2410 of KLoM, released of the bandwidth of RULI; one_original allows
    originals = "one"."""


def check(auditing: Auditing) -> None:
    """Raise ConfigError, in one line, for settings that no audit can be made with."""
    design, models = auditing.design, auditing.models
    wanted = families(auditing)
    for family in wanted:
        if family not in POSSIBLE[design]:
            other = next(d for d in POSSIBLE if family in POSSIBLE[d])
            raise ConfigError(
                f'audit: {family} needs audit.design = "{other}"; design "{design}" has '
                f"{', '.join(POSSIBLE[design])}"
            )
    for name, count in (("models", models), ("twins", twins(auditing))):
        if count < LEAST and not (name == "twins" and count == 0):
            without = "" if name == "models" else "; audit.twins = 0 does without a second ensemble"
            raise ConfigError(too_few(count) + without)
    if design == "request" and models < ENOUGH:
        for name, why in FEW.items():
            if name in wanted and auditing.metrics is not None:
                raise ConfigError(f"audit: {name} needs at least 16 networks a side: {why}")
    if auditing.originals == "one" and "one_original" not in auditing.compat:
        raise ConfigError(
            f"audit: {models} unlearned networks come from 1 original; give {models} originals, or "
            'compat="one_original"'
        )
    if auditing.pairing == "matched" and set(wanted) - {"tow"}:
        raise ConfigError(
            "audit: networks are paired by seed; laws can be compared only with "
            'pairing="decoupled" (paired: tow, with accuracy gaps; audit.metrics = ["tow"])'
        )
    if auditing.permutations < (least := needed(auditing)):
        raise ConfigError(
            f"audit: {auditing.permutations} permutations cannot show a difference at level {auditing.level:g} over "
            f"all tests together; give at least {least} (audit.permutations)"
        )
    if design == "request" and "efficacy" in wanted and auditing.folds > models:
        raise ConfigError(
            f"audit: efficacy: {models} networks a side do not make {auditing.folds} folds; audit.folds can be at most "
            f"{models}"
        )
    runs = 2 * models
    if design == "random" and runs % (BLOCK * auditing.folds):
        raise ConfigError(
            f"audit: {runs} runs (twice audit.models) do not make {auditing.folds} folds of whole blocks of {BLOCK} "
            f"runs; audit.models can be any multiple of {BLOCK * auditing.folds // 2}"
        )
    fitted = (runs - runs // auditing.folds) // 2 // auditing.forget_sets
    if design == "random" and fitted < 4:
        raise ConfigError(
            f"audit: ulira: an example has {fitted} unlearned runs in a fit; give more runs (audit.models), fewer "
            "folds or fewer forget sets"
        )
    if design == "random" and auditing.targets < 8 * auditing.forget_sets:
        raise ConfigError(
            f"audit: {auditing.targets} targets for {auditing.forget_sets} forget sets; at least 8 a set are needed"
        )


ENOUGH = 16
"""Networks a side below which the metrics in FEW mean nothing."""
FEW: dict[str, str] = {
    "klom": "a perfect unlearner scores 6.4 of 11.5 at 8",
    "forgetting_quality": "its values are powers of 1/2, and at 8 there are four of them",
}


def families(auditing: Auditing) -> tuple[Family, ...]:
    """The metrics that an audit computes; below 16 networks a side only what means something there."""
    if auditing.metrics is not None:
        return tuple(name for name in get_args(Family) if name in auditing.metrics)
    usual = DESIGN_METRICS[auditing.design]
    if auditing.pairing == "matched":
        return ("tow",)
    few = auditing.design == "request" and auditing.models < ENOUGH
    return tuple(name for name in usual if not (few and name in FEW))


def too_few(count: int, whose: str = "a side") -> str:
    """The line on an ensemble that is too small for the tests."""
    why = "a permutation of 8 + 8 has 12,870 outcomes"
    return f"audit: {count} networks {whose}; the tests need at least {LEAST} ({why})"


def needed(auditing: Auditing) -> int:
    """Permutations below which the least p value there is could not pass Holm over all tests of the verdict."""
    design = auditing.design
    count = sum(TESTS[design].get(name, 0) for name in families(auditing))
    groups = auditing.forget_sets if design == "random" else 1
    return max(0, math.ceil(count * groups / auditing.level - 1e-9) - 1)


def twins(auditing: Auditing) -> int:
    """The networks of the second retrained ensemble."""
    if auditing.design == "random":
        return 0
    return auditing.models if auditing.twins is None else auditing.twins
