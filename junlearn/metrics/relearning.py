"""How soon a network learns the forget set again: what is only hidden comes back in few steps.

A network is fine-tuned on D_f alone until its accuracy there reaches a level; the fine-tuning itself is given by
whoever makes the Context (`junlearn.relearn`), and is the costliest thing that is measured here.
"""

from junlearn.metrics.accuracy import accuracy_on
from junlearn.metrics.outputs import Context

__all__ = ["MARGIN", "anamnesis", "relearn"]

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
