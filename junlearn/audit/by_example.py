"""What an audit knows of single examples, and the curves that its pictures show: the arrays beside a line."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from junlearn.audit.ensembles import Ensemble
from junlearn.audit.quantities import klom_compat
from junlearn.audit.yardstick import Yardstick
from junlearn.metrics import ensemble
from junlearn.metrics.ensemble import Relabelled, identity, permutations

__all__ = ["EXPOSED", "by_example"]

EXPOSED = 6
"""Examples whose networks are shown one by one."""
BINS = 20
DRAWS = 25
"""Splits of the histograms of the null, whose band is the 2.5 and 97.5 % quantile in each bin."""
CURVES = 100
"""Permutations of the band around a ROC curve."""
POINTS = 40
EXACT = 64
"""Networks a side up to which the Kolmogorov-Smirnov p value is exact."""


def by_example(
    yardstick: Yardstick, unlearned: Ensemble, original: Ensemble | None
) -> dict[str, np.ndarray]:
    """The arrays of the forget set, by name; those of families that were not asked for are absent."""
    count = min(unlearned.size, yardstick.networks)
    first = unlearned.first(count).parts["forget"].phi
    second = yardstick.retrained.first(count).parts["forget"].phi
    own = _values(yardstick, np.concatenate([first, second]), identity(count, count))
    values = {name: each[0] for name, each in own.items()}
    found: dict[str, np.ndarray] = dict(values)
    found["shift"] = ensemble.moments(first, second).shift
    found["ks_p"] = np.array(
        [
            stats.ks_2samp(a, b, method="exact" if count <= EXACT else "asymp").pvalue
            for a, b in zip(first.T, second.T, strict=True)
        ]
    )
    if yardstick.twin is not None:
        found |= _histograms(yardstick, values, count)
    if "efficacy" in yardstick.families:
        found |= _roc(yardstick, first, second)
    found |= _exposed(yardstick, found, unlearned, original, count)
    return found


def _values(yardstick: Yardstick, pool: np.ndarray, dealt: Relabelled) -> dict[str, np.ndarray]:
    """One number an example from each family that gives them, [P,n] for the ways to deal out the pool."""
    families, auditing = yardstick.families_of(dealt.first.shape[1]), yardstick.auditing
    found = {}
    if "forgetting_quality" in families:
        found["epsilon"] = ensemble.resampled_epsilon(pool, dealt)
    if "klom" in families:
        found["klom"] = ensemble.resampled_klom_values(pool, dealt, klom_compat(auditing))
    if "efficacy" in families:
        options: dict[str, Any] = {"folds": auditing.folds, "variance": auditing.variance}
        game = ensemble.resampled_crossfit(pool, dealt, **options, curve=False)
        found["accuracy"] = game.per_example
    return found


def _drawn(yardstick: Yardstick, count: int) -> dict[str, np.ndarray]:
    """The same over halves of the retrained networks, once for all methods."""
    if count not in yardstick.drawn:
        few = Relabelled(*(side[:DRAWS] for side in yardstick.halves("forget", count)))
        yardstick.drawn[count] = _values(yardstick, yardstick.pool("forget", count).phi, few)
    return yardstick.drawn[count]


def _histograms(
    yardstick: Yardstick, values: Mapping[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Of each number an histogram over the examples, and its band over halves of the retrained networks."""
    found = {}
    for name, own in values.items():
        null = _drawn(yardstick, count)[name]
        everything = np.concatenate([own, null.ravel()])
        edges = np.linspace(
            everything.min(), max(everything.max(), everything.min() + 1e-9), BINS + 1
        )
        counts = np.stack([np.histogram(row, edges)[0] for row in null])
        found[f"hist_{name}_edges"] = edges
        found[f"hist_{name}"] = np.histogram(own, edges)[0]
        found[f"hist_{name}_null"] = np.stack(
            [
                np.quantile(counts, 0.025, axis=0),
                counts.mean(axis=0),
                np.quantile(counts, 0.975, axis=0),
            ]
        )
        if name == "klom":
            shares = np.arange(1, 100)
            found["klom_quantiles"] = np.percentile(own, shares)
            curves = np.percentile(null, shares, axis=1)
            low, high = np.percentile(curves, [2.5, 97.5], axis=1)
            found["klom_quantiles_null"] = np.stack([low, np.median(curves, axis=1), high])
    return found


def _roc(yardstick: Yardstick, first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """The curve of all held-out scores at false positive rates that are even on a logarithmic scale."""
    least = max(1e-3, 1 / second.size)
    pool, auditing = np.concatenate([first, second]), yardstick.auditing
    even = np.geomspace(least, 1, POINTS)[:-1]
    rates = tuple(np.unique(np.append(even, yardstick.rates(pool))))
    options: dict[str, Any] = {"folds": auditing.folds, "variance": auditing.variance, "fpr": rates}
    rng = yardstick.rng(0, 5)
    dealt = permutations(len(first), len(second), CURVES, rng)
    band = ensemble.resampled_crossfit(pool, dealt, **options).tpr
    own = ensemble.crossfit(first, second, **options).tpr
    low, high = np.percentile(np.stack([band[rate] for rate in rates]), [2.5, 97.5], axis=1)
    return {
        "roc_fpr": np.append(rates, 1.0),
        "roc_tpr": np.append([own[rate] for rate in rates], 1.0),
        "roc_low": np.append(low, 1.0),
        "roc_high": np.append(high, 1.0),
    }


def _exposed(
    yardstick: Yardstick,
    found: Mapping[str, np.ndarray],
    unlearned: Ensemble,
    original: Ensemble | None,
    count: int,
) -> dict[str, np.ndarray]:
    """The examples that tell most, and the margins of every network on them."""
    order = np.lexsort((-np.abs(found["shift"]), -found.get("accuracy", np.abs(found["shift"]))))
    chosen = order[:EXPOSED]
    arrays = {"exposed": chosen}
    sides = {
        "unlearned": unlearned,
        "retrain": yardstick.retrained,
        "twin": yardstick.twin,
        "original": original,
    }
    for name, side in sides.items():
        if side is not None and "forget" in side.parts:
            arrays[f"phi_{name}"] = side.first(count).parts["forget"].phi[:, chosen]
    return arrays
