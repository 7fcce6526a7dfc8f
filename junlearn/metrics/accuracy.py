"""Accuracy: the share of examples whose largest logit is the true label's."""

import numpy as np

from junlearn.metrics.context import Context, Floats, Integers, Network, labels_of, logits_of

__all__ = ["accuracy", "accuracy_on", "correct", "true_accuracy_on", "whole_train"]


def correct(logits: Floats, labels: Integers) -> np.ndarray:
    """bool[N]: whether a row's largest logit (the first, where several tie) is its label's."""
    return logits.argmax(axis=1) == labels


def accuracy_on(context: Context, network: Network, split: str) -> float | None:
    """Accuracy in [0, 1] of a network on a split; None if either is absent."""
    logits = logits_of(context, network, split)
    if logits is None:
        return None
    return float(correct(logits, labels_of(context, split, logits)).mean())


def true_accuracy_on(context: Context, network: Network, split: str) -> float | None:
    """The same against the true labels, where a scenario put others in their place."""
    logits = logits_of(context, network, split)
    if logits is None or split not in context.clean:
        return accuracy_on(context, network, split)
    return float(correct(logits, np.asarray(context.clean[split])).mean())


def accuracy(context: Context) -> dict[str, float]:
    """Accuracy of the model on every split, in [0, 1].

    Every example counts the same. (The mean over batches of each batch's accuracy, which several
    published codes report, gives the examples of a short last batch a larger weight.) Where a
    scenario made the labels of training examples wrong, `forget_train` (of manipulated data also
    `manipulated_train` and `unidentified_train`) is agreement with the wrong ones, and
    `forget_train_clean` the accuracy against the true ones.
    """
    values = {split: accuracy_on(context, "model", split) for split in context.model.logits}
    for split in ("forget_train", "manipulated_train", "unidentified_train"):
        if split in context.clean:
            values[f"{split}_clean"] = true_accuracy_on(context, "model", split)
    return {f"accuracy/{split}": value for split, value in values.items() if value is not None}


def whole_train(context: Context) -> dict[str, float]:
    """Accuracy on all training images without, and with, a trigger, against the true labels; takes two passes."""
    values = {
        split: accuracy_on(context, "model", split)
        for split in ("train_untriggered", "train_triggered")
    }
    return {f"accuracy/{split}": value for split, value in values.items() if value is not None}
