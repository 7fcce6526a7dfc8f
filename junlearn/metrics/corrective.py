"""Corrective unlearning: is a network repaired that was trained on manipulated data?

Goel, Prabhu, Torr, Kumaraguru, Sanyal, "Corrective Machine Unlearning", TMLR 2024 (arXiv 2402.14015).
"""

from functools import partial

import numpy as np

from junlearn.metrics.accuracy import hits_on
from junlearn.metrics.context import Context, labels_of, logits_of
from junlearn.metrics.intervals import balanced, of_share, of_shares

__all__ = ["attack_success", "corrective", "developer_score", "oracle_score"]


def corrective(context: Context) -> dict[str, float]:
    """Accuracy where the manipulation acts, accuracy elsewhere, and success of a backdoor (corrective unlearning).

    * `corrective/corrected`, Acc_corr, against the true labels: of poisoning on all test images with the
      trigger; of interclass confusion on the test images of the two classes; of random swaps on the
      test set. `corrective/retained`, Acc_retain: on the test set without trigger; on the other
      classes; of random swaps there is none.
    * `corrective/attack_success`: share of the test images of other classes which the trigger turns
      into its target. `corrective/corrected_others`: Acc_corr on the same images: a network that
      always follows the trigger has 0 there, and about 1/K in Acc_corr.
    * `corrective/oracle`: mean of Acc_corr and Acc_retain (Acc_corr where it is alone), for choosing
      hyper-parameters with full knowledge. `corrective/developer`: mean of the accuracy on
      `validation` and of the share of S_f on which the wrong label is gone, which needs no more than
      S_f and clean held-out data.

    Needs a scenario that manipulates a known and an unknown part of the training set.
    """
    if "manipulated_train" not in context.labels:
        return {}
    if context.target is not None:
        places = {"corrected": "test_triggered", "retained": "test"}
    elif "forget_test" in context.labels:
        places = {"corrected": "forget_test", "retained": "retain_test"}
    else:
        places = {"corrected": "test"}
    found = {name: hits_on(context, "model", split) for name, split in places.items()}
    sides = list(found.values())
    if context.target is not None:
        found |= attack_success(context, context.target)
    hits = {name: rows for name, rows in found.items() if rows is not None}
    for name, rows in hits.items():
        context.interval(f"corrective/{name}", partial(of_share, rows))
    values = {name: float(rows.mean()) for name, rows in hits.items()}
    known = [rows for rows in sides if rows is not None]
    if known:
        context.interval("corrective/oracle", partial(of_shares, _middle, *known))
    scores = {"oracle": oracle_score(values.get("corrected"), values.get("retained"))}
    kept, wrong = (hits_on(context, "model", split) for split in ("validation", "forget_train"))
    if kept is not None and wrong is not None:
        context.interval("corrective/developer", partial(of_shares, balanced, kept, ~wrong))
        scores["developer"] = developer_score(float(kept.mean()), float(wrong.mean()))
    values |= {name: score for name, score in scores.items() if score is not None}
    return {f"corrective/{name}": value for name, value in values.items()}


def attack_success(context: Context, target: int) -> dict[str, np.ndarray | None]:
    """Of the triggered test images of other classes than `target`, bool[N] each: which are called `target`, and which
    are answered rightly.
    """
    logits = logits_of(context, "model", "test_triggered")
    if logits is None:
        return {}
    labels = labels_of(context, "test_triggered", logits)
    others = labels != target
    if not others.any():
        return {}
    answers = logits.argmax(axis=1)[others]
    return {
        "attack_success": answers == target,
        "corrected_others": answers == labels[others],
    }


def oracle_score(corrected: float | None, retained: float | None) -> float | None:
    """The mean of those of the two that are there."""
    known = [value for value in (corrected, retained) if value is not None]
    return sum(known) / len(known) if known else None


def _middle(*shares: np.ndarray) -> np.ndarray:
    return np.mean(shares, axis=0)


def developer_score(validation: float | None, wrong: float | None) -> float | None:
    """The mean of the accuracy on clean held-out data and of the share of S_f whose wrong label is gone."""
    return None if validation is None or wrong is None else (validation + 1.0 - wrong) / 2
