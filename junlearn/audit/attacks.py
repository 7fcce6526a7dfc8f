"""Membership attacks on single unlearned networks, by retrained networks as references: LiRA, RMIA and IAM on request.

The design "request" has no runs with and without an example. So the forget set plays the members, and test examples of
the same classes, which no network ever saw, play the others. Every network of one side is attacked in turn, with all of
the other side as references; a quantity is the mean over the attacked networks. Twins in their place give the null.
"""

from collections.abc import Collection, Mapping

import numpy as np

from junlearn.audit.margins import Margins, label_probability
from junlearn.audit.quantities import rate_name, reachable
from junlearn.experiment.auditing import Auditing
from junlearn.metrics import ensemble
from junlearn.metrics.ensemble import Relabelled

__all__ = ["ATTACKS", "PERMUTED", "absent", "attack_quantities", "iam_scores"]

ATTACKS = ("lira", "rmia", "iam")
PERMUTED = 199
"""Relabellings at most: each attacks every network anew."""


def attack_quantities(
    pool: Mapping[str, Margins],
    labels: Mapping[str, np.ndarray],
    dealt: Relabelled,
    families: Collection[str],
    auditing: Auditing,
    originals: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Name -> float64[P], for each way to deal out the pool; `originals` float64[N,n] are margins before unlearning."""
    found: dict[str, list[float]] = {}
    others = _others(labels)
    for first, second in zip(dealt.first, dealt.second, strict=True):
        for family in ATTACKS:
            if family not in families:
                continue
            if family == "iam":
                phi = pool["forget"].phi
                values = {}
                if originals is not None:
                    scores = iam_scores(phi[first], phi[second], originals)
                    values = {"iam/score": float(scores.mean())}
            elif others.any():
                values = _attack(family, pool, others, first, second, auditing)
            else:
                values = {}
            for name, value in values.items():
                found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def absent(labels: Mapping[str, np.ndarray]) -> list[int]:
    """The classes of the forget set of which there is no test example to compare with."""
    there = labels.get("test", np.zeros(0, int))
    return sorted(set(np.unique(labels["forget"]).tolist()) - set(np.unique(there).tolist()))


def _others(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """bool[]: the test examples of the classes of the forget set."""
    return np.isin(labels.get("test", np.zeros(0, int)), labels["forget"])


def _attack(
    family: str,
    pool: Mapping[str, Margins],
    others: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    auditing: Auditing,
) -> dict[str, float]:
    """AUC and true positive rates, each the mean over the attacked networks."""
    phi = np.concatenate([pool["forget"].phi, pool["test"].phi[:, others]], axis=1)
    member = np.arange(phi.shape[1]) < pool["forget"].phi.shape[1]
    targets, references = phi[first], phi[second]
    if family == "lira":
        scores = ensemble.lira_offline(references, targets, variance=auditing.variance)
    else:
        probability = label_probability(references)
        scores = np.stack(
            [ensemble.rmia_ratio(target, probability) for target in label_probability(targets)]
        )
    rates = reachable(auditing, int(others.sum()))
    told = ensemble.rates_of_many(scores, member, rates)
    found = {f"{family}/auc": float(told.area.mean())}
    for column, rate in enumerate(rates):
        found[f"{family}/{rate_name(rate)}"] = float(told.tpr[:, column].mean())
    return found


def iam_scores(judged: np.ndarray, shadows: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """float64[N,n]: 1 is forgotten; from margins of judged and retrained networks, and of the originals in order."""
    return ensemble.iam_many(
        label_probability(judged), label_probability(shadows), label_probability(originals)
    )
