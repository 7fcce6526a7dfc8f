"""Corrective unlearning: is a network repaired that was trained on manipulated data?

Goel, Prabhu, Torr, Kumaraguru, Sanyal, "Corrective Machine Unlearning", TMLR 2024 (arXiv 2402.14015).
"""

from junlearn.metrics.accuracy import accuracy_on
from junlearn.metrics.context import Context, labels_of, logits_of

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
        values = {
            "corrected": accuracy_on(context, "model", "test_triggered"),
            "retained": accuracy_on(context, "model", "test"),
            **attack_success(context, context.target),
        }
    elif "forget_test" in context.labels:
        values = {
            "corrected": accuracy_on(context, "model", "forget_test"),
            "retained": accuracy_on(context, "model", "retain_test"),
        }
    else:
        values = {"corrected": accuracy_on(context, "model", "test")}
    values["oracle"] = oracle_score(values["corrected"], values.get("retained"))
    values["developer"] = developer_score(
        accuracy_on(context, "model", "validation"), accuracy_on(context, "model", "forget_train")
    )
    return {f"corrective/{name}": value for name, value in values.items() if value is not None}


def attack_success(context: Context, target: int) -> dict[str, float | None]:
    """Of the triggered test images of other classes than `target`: the share called `target`, and the share right."""
    logits = logits_of(context, "model", "test_triggered")
    if logits is None:
        return {}
    labels = labels_of(context, "test_triggered", logits)
    others = labels != target
    if not others.any():
        return {}
    answers = logits.argmax(axis=1)[others]
    return {
        "attack_success": float((answers == target).mean()),
        "corrected_others": float((answers == labels[others]).mean()),
    }


def oracle_score(corrected: float | None, retained: float | None) -> float | None:
    """The mean of those of the two that are there."""
    known = [value for value in (corrected, retained) if value is not None]
    return sum(known) / len(known) if known else None


def developer_score(validation: float | None, wrong: float | None) -> float | None:
    """The mean of the accuracy on clean held-out data and of the share of S_f whose wrong label is gone."""
    return None if validation is None or wrong is None else (validation + 1.0 - wrong) / 2
