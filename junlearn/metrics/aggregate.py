"""Scores that fold several accuracies into one number: AUS and ToW."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from junlearn.metrics.accuracy import hits_on, true_hits_on
from junlearn.metrics.context import Context
from junlearn.metrics.intervals import of_shares

__all__ = [
    "Measured",
    "adaptive_unlearning_score",
    "aus",
    "aus_with_error",
    "measured",
    "tow",
    "tug_of_war",
]


class Measured(NamedTuple):
    """A quantity over runs."""

    mean: float
    deviation: float
    """Sample standard deviation (n - 1); NaN of a single run."""


def measured(runs: Sequence[float] | np.ndarray) -> Measured:
    """Mean and sample standard deviation of float[R]."""
    runs = np.asarray(runs, np.float64)
    deviation = float(runs.std(ddof=1)) if len(runs) > 1 else float("nan")
    return Measured(float(runs.mean()), deviation)


def adaptive_unlearning_score(original: float, unlearned: float, delta: float) -> float:
    """`(1 - (original - unlearned)) / (1 + delta)`: accuracy kept against what is remembered.

    Accuracies in [0, 1], `delta >= 0`. It exceeds 1 if unlearning raised the accuracy.
    """
    return (1.0 - (original - unlearned)) / (1.0 + delta)


def aus_with_error(
    original: Measured, kept: Measured, forgotten: Measured, *, classes: bool
) -> Measured:
    """AUS of the means over runs (not the mean of AUS), and its error to first order, as DUCK and SCAR report it.

        N = 1 - (original - kept),  D = 1 + forgotten  (classes)  or  1 + |forgotten - kept|
        s_N^2 = s_original^2 + s_kept^2,  s_D = s_forgotten  or  s_D^2 = s_forgotten^2 + s_kept^2
        AUS = N / D,  s^2 = AUS^2 ((s_N / N)^2 + (s_D / D)^2)

    All accuracies count as independent, also where `kept` stands in N and in D. `classes`: whole classes are forgotten;
    `kept` and `forgotten` are then accuracies on `retain_test` and `forget_test`, else on `test` and `forget_train`.
    """
    delta = forgotten.mean if classes else abs(forgotten.mean - kept.mean)
    score = adaptive_unlearning_score(original.mean, kept.mean, delta)
    denominator = 1 + delta
    above = np.hypot(original.deviation, kept.deviation)
    below = forgotten.deviation if classes else np.hypot(forgotten.deviation, kept.deviation)
    error = np.hypot(above / denominator, score * below / denominator)
    return Measured(score, float(error))


def tug_of_war(*gaps: Any) -> Any:
    """`prod (1 - |gap|)` over differences of accuracies in [0, 1], numbers or arrays of one shape: 1 if all vanish."""
    product = 1.0
    for gap in gaps:
        product *= 1.0 - abs(gap)
    return product


def aus(context: Context) -> dict[str, float]:
    """Adaptive unlearning score (Cotogni et al., "DUCK", 2023), in its two forms.

    * Whole classes forgotten: the accuracy kept is that on `retain_test`, and `delta` the accuracy
      on `forget_test`, which a retrained model has at 0.
    * Any other request: the accuracy kept is that on `test`, and `delta = |A(forget_train) -
      A(test)|`, as forgotten examples should be answered like unseen ones. Where a scenario made
      labels wrong, both are against the true ones: agreement with the wrong ones would make the
      network that remembers them the better.

    Needs `original`.
    """
    kept, forgotten = (
        ("retain_test", "forget_test") if context.classes else ("test", "forget_train")
    )
    before = hits_on(context, "original", kept)
    after = hits_on(context, "model", kept)
    remembered = true_hits_on(context, "model", forgotten)
    if before is None or after is None or remembered is None:
        return {}

    def score(before: Any, after: Any, remembered: Any) -> Any:
        delta = remembered if context.classes else abs(remembered - after)
        return adaptive_unlearning_score(before, after, delta)

    splits = np.stack([before, after], axis=1), remembered
    # Nothing is above what equal answers to forgotten and to unseen examples give.
    top = None if context.classes else 2.0
    context.interval("aus", partial(of_shares, score, *splits, top=top))
    return {"aus": score(*(float(hits.mean()) for hits in (before, after, remembered)))}


def tow(context: Context) -> dict[str, float]:
    """Tug of war: how near all accuracies are to those of the retrained model.

    `prod over D in {forget_train, retain_train, test} of (1 - |A_model(D) - A_retrain(D)|)`; 1 is
    ideal. Zhao et al., "What makes unlearning hard and what to do about it", 2024. Needs `retrain`.
    """
    splits, gaps = [], []
    for split in ("forget_train", "retain_train", "test"):
        model = hits_on(context, "model", split)
        retrain = hits_on(context, "retrain", split)
        if model is None or retrain is None:
            return {}
        splits.append(np.stack([model, retrain], axis=1))
        gaps.append(float(model.mean()) - float(retrain.mean()))

    def score(*shares: Any) -> Any:
        pairs = zip(shares[::2], shares[1::2], strict=True)
        return tug_of_war(*(model - retrain for model, retrain in pairs))

    context.interval("tow", partial(of_shares, score, *splits, top=1.0))
    return {"tow": tug_of_war(*gaps)}
