"""How soon a network knows the forget set again: what is only hidden comes back in few steps.

A network is fine-tuned on D_f alone until its accuracy there reaches a level, or on D_r alone for an epoch; the
fine-tuning itself is given by whoever makes the Context (`junlearn.relearn`), and is the costliest thing that is
measured here.
"""

from functools import partial

from junlearn.metrics.accuracy import accuracy_on
from junlearn.metrics.context import Context
from junlearn.metrics.intervals import wilson

__all__ = ["MARGIN", "anamnesis", "relearn", "relearn_retain"]

MARGIN = 0.05
"""Share of the original's accuracy on D_f that may be missing when the anamnesis index stops."""
OFFSET = 0.01
"""Added to both numbers of steps of the anamnesis index, so that two networks that know D_f already have 1."""


def relearn(context: Context) -> dict[str, float]:
    """Relearn time: fine-tuning on the forget set up to the original's accuracy there.

    `relearn/steps` (mini-batches), `relearn/epochs` (the same in passes over D_f) and `relearn/reached`: 0 where the
    cap came first, and the other two are what was spent. Ideal: the retrained network's values. Needs `original` and
    `relearn`.
    """
    level = accuracy_on(context, "original", "forget_train")
    if level is None or context.relearn is None or not context.model.logits:
        return {}
    spent = context.relearn("model", level)
    return {
        "relearn/steps": float(spent.steps),
        "relearn/epochs": spent.epochs,
        "relearn/reached": float(spent.reached),
    }


def anamnesis(context: Context) -> dict[str, float]:
    """Anamnesis index: relearn time of the model over that of the retrained network.

    `(r_model + 0.01) / (r_retrain + 0.01)`, r the mini-batches until 95 % of the original's accuracy on D_f. 1 is
    ideal; below 1 the model remembers, above it was driven away from what a retrained network would learn.
    `anamnesis/reached` is 0 where one of the two met the cap (Chundawat et al., "Zero-Shot Machine Unlearning", 2023).
    Needs `original`, `retrain` and `relearn`.
    """
    level = accuracy_on(context, "original", "forget_train")
    if level is None or context.relearn is None or context.retrain is None:
        return {}
    if not context.model.logits:
        return {}
    model, retrain = (context.relearn(role, (1 - MARGIN) * level) for role in ("model", "retrain"))
    return {
        "anamnesis": (model.steps + OFFSET) / (retrain.steps + OFFSET),
        "anamnesis/reached": float(model.reached and retrain.reached),
    }


def relearn_retain(context: Context) -> dict[str, float]:
    """Relearning test of CaMU: does an epoch on the retain set alone bring the forget set back?

    Before the first step and after every 100th: `relearn_retain/SPLIT/STEP`, the accuracies on `retain_train`,
    `forget_train`, `test`, `retain_test` and `forget_test`, and `relearn_retain/gap/STEP`, that on `retain_train` less
    that on `forget_train`; `relearn_retain/gap` is the mean of these. A gap that closes is knowledge that was hidden.
    Ideal: the retrained network's curve. Needs `relearn_retain`.

    It is trained as the original was, at its rate (Shen et al., SDM 2024, arXiv 2401.17504: Adam, weight decay 1e-4,
    batches of 32; 1e-3 on MNIST and Fashion-MNIST as the original, 1e-4 on CIFAR, a tenth of the original's). BatchNorm
    is in train mode in every step: the authors' script stays in eval mode after its first look and trains with frozen
    statistics from then on.
    """
    if context.relearn_retain is None:
        return {}
    values: dict[str, float] = {}
    gaps = []
    for step, accuracies in context.relearn_retain().items():
        for split, value in accuracies.items():
            values[f"relearn_retain/{split}/{step}"] = value
            if count := len(context.labels.get(split, ())):
                right = round(value * count)
                context.interval(f"relearn_retain/{split}/{step}", partial(wilson, right, count))
        gaps.append(accuracies["retain_train"] - accuracies["forget_train"])
        values[f"relearn_retain/gap/{step}"] = gaps[-1]
    return {"relearn_retain/gap": sum(gaps) / len(gaps), **values}
