"""The numbers of the design "request": from two ensembles of margins, or from many ways to deal out their networks.

A family of `audit.metrics` gives several quantities. Each says in which direction it speaks against retraining; of
those that are an effect, and not the strength of a test, a bootstrap over networks gives an interval.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from junlearn.audit.margins import Margins
from junlearn.audit.nulls import Direction
from junlearn.experiment.auditing import Auditing
from junlearn.metrics import ensemble
from junlearn.metrics.aggregate import tug_of_war
from junlearn.metrics.ensemble import Relabelled
from junlearn.metrics.ensemble.klom import KlomCompat

__all__ = [
    "QUANTITIES",
    "Quantity",
    "quantities",
    "rate_name",
    "reachable",
    "scalar_pairs",
    "scalar_quantities",
    "scalars",
    "unreachable",
]


class Quantity(NamedTuple):
    """One number of a comparison."""

    family: str
    direction: Direction
    effect: bool = False
    """Whether it is the size of a difference, which a bootstrap gives an interval for."""


QUANTITIES: dict[str, Quantity] = {
    "energy": Quantity("energy", "large"),
    "mean_shift": Quantity("moments", "both", effect=True),
    "log_variance_ratio": Quantity("moments", "both", effect=True),
    "accuracy": Quantity("efficacy", "large"),
    "auc": Quantity("efficacy", "large"),
    "F": Quantity("forgetting_quality", "small"),
    "F_rank": Quantity("forgetting_quality", "small"),
    "klom_mean": Quantity("klom", "large"),
    "klom_median": Quantity("klom", "large"),
    "klom_p95": Quantity("klom", "large"),
    "churn_excess": Quantity("churn", "large", effect=True),
    "iam/score": Quantity("iam", "small"),
    "tow": Quantity("tow", "small"),
    "tow_mia": Quantity("tow", "small"),
    "gap/forget": Quantity("tow", "both", effect=True),
    "gap/retain": Quantity("tow", "both", effect=True),
    "gap/test": Quantity("tow", "both", effect=True),
}
RATE = Quantity("efficacy", "large")
SCALARS = ("forget", "retain", "test", "mia")
"""What is known of a network alone: its accuracies, and the share of the forget set that an attack calls members."""


def quantity(name: str) -> Quantity:
    """What a quantity is, also one of the true positive rates."""
    return QUANTITIES.get(name, RATE)


def rate_name(rate: float) -> str:
    """The name of the true positive rate at a false positive rate."""
    return f"tpr@{rate:g}"


def reachable(auditing: Auditing, negatives: int) -> tuple[float, ...]:
    """The false positive rates of `audit.fpr` that so many negatives can have."""
    return tuple(rate for rate in auditing.fpr if rate * negatives >= 1)


def unreachable(auditing: Auditing, negatives: int, scores: str) -> list[str]:
    """A line on each of the others; `scores` says of what they are."""
    return [
        f"audit: TPR at FPR {rate:.4g} needs {int(np.ceil(1 / rate)):,} {scores}; there are {negatives:,}"
        for rate in auditing.fpr
        if rate * negatives < 1
    ]


def quantities(
    pool: Margins,
    dealt: Relabelled,
    families: Collection[str],
    auditing: Auditing,
    *,
    classes: int,
    rates: tuple[float, ...] = (),
    curves: bool = True,
) -> dict[str, np.ndarray]:
    """Name -> float64[P], for each way to deal out the pool; without `curves` neither AUC nor true positive rates."""
    phi = pool.phi
    found: dict[str, np.ndarray] = {}
    if "energy" in families:
        found["energy"] = ensemble.resampled_energy(phi, dealt)
    if "moments" in families:
        found |= ensemble.resampled_moments(phi, dealt)
    if "efficacy" in families:
        game = ensemble.resampled_crossfit(
            phi,
            dealt,
            folds=auditing.folds,
            variance=auditing.variance,
            fpr=rates,
            curve=curves,
        )
        found["accuracy"] = game.accuracy
        if curves:
            found["auc"] = game.auc
            found |= {rate_name(rate): values for rate, values in game.tpr.items()}
    if "klom" in families:
        values = ensemble.resampled_klom(phi, dealt, klom_compat(auditing))
        found |= {f"klom_{name}": value for name, value in values.items()}
    if "churn" in families:
        found["churn_excess"] = ensemble.resampled_churn_excess(pool.predicted, dealt, classes)
    if "forgetting_quality" in families:
        found["F"] = ensemble.resampled_forgetting_quality(phi, dealt)
        found["F_rank"] = ensemble.resampled_rank_quality(phi, dealt)
    return found


def klom_compat(auditing: Auditing) -> KlomCompat:
    """The release whose form of KLoM is asked for; empty: none."""
    if "easydub" in auditing.compat:
        return "easydub"
    return "bench2410" if "bench2410" in auditing.compat else ""


def scalars(parts: Mapping[str, Margins], labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64[N,4] of SCALARS; NaN where there are no examples."""
    size = len(next(iter(parts.values())).phi)
    found = np.full((size, len(SCALARS)), np.nan)
    for column, name in enumerate(SCALARS[:3]):
        if name in parts:
            found[:, column] = (parts[name].predicted == labels[name]).mean(axis=1)
    if all(name in parts for name in SCALARS[:3]):
        found[:, 3] = [
            attack_share(*(parts[name].phi[i] for name in SCALARS[:3])) for i in range(size)
        ]
    return found


def attack_share(forget: np.ndarray, members: np.ndarray, others: np.ndarray) -> float:
    """The share of the forget set that a threshold on the margin calls members: the one that tells retain examples
    from test examples best (largest balanced accuracy; of equal ones the lowest).
    """
    values = np.concatenate([members, others])
    kind = np.concatenate(
        [np.full(len(members), 1 / len(members)), np.full(len(others), -1 / len(others))]
    )
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.append(True, ordered[1:] > ordered[:-1])
    # What is at or above each distinct value: true positives minus false positives.
    gain = np.cumsum(kind[order][::-1])[::-1][first]
    return float(np.mean(forget >= ordered[first][gain.argmax()]))


def scalar_quantities(pool: np.ndarray, dealt: Relabelled) -> dict[str, np.ndarray]:
    """Tug of war and gaps of accuracy, from float64[M,4] of SCALARS: name -> float64[P].

    Networks are paired in the order in which they are dealt out.
    """
    gaps = pool[dealt.first] - pool[dealt.second]
    found = {
        f"gap/{name}": gaps[..., column].mean(axis=1)
        for column, name in enumerate(SCALARS[:3])
        if not np.isnan(pool[:, column]).any()
    }
    return found | {name: each.mean(axis=1) for name, each in scalar_pairs(pool, dealt).items()}


def scalar_pairs(pool: np.ndarray, dealt: Relabelled) -> dict[str, np.ndarray]:
    """Tug of war of every pair of networks, and the same with the share of an attack: name -> float64[P,N]."""
    gaps = pool[dealt.first] - pool[dealt.second]
    return {
        name: tug_of_war(*(gaps[..., column] for column in columns))
        for name, columns in (("tow", [0, 1, 2]), ("tow_mia", [3, 1, 2]))
        if not np.isnan(pool[:, columns]).any()
    }
