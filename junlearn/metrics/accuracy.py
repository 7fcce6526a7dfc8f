"""Accuracy: the share of examples whose largest logit is the true label's."""

from functools import partial

import numpy as np

from junlearn.metrics.context import Context, Floats, Integers, Network, labels_of, logits_of
from junlearn.metrics.intervals import of_share

__all__ = [
    "accuracy",
    "accuracy_on",
    "correct",
    "hits_on",
    "share_of",
    "true_hits_on",
    "whole_train",
]


def correct(logits: Floats, labels: Integers) -> np.ndarray:
    """bool[N]: whether a row's largest logit (the first, where several tie) is its label's."""
    return logits.argmax(axis=1) == labels


def hits_on(context: Context, network: Network, split: str) -> np.ndarray | None:
    """bool[N]: which examples of a split a network answers rightly; None if either is absent."""
    logits = logits_of(context, network, split)
    return None if logits is None else correct(logits, labels_of(context, split, logits))


def true_hits_on(context: Context, network: Network, split: str) -> np.ndarray | None:
    """The same against the true labels, where a scenario put others in their place."""
    logits = logits_of(context, network, split)
    if logits is None or split not in context.clean:
        return hits_on(context, network, split)
    return correct(logits, np.asarray(context.clean[split]))


def accuracy_on(context: Context, network: Network, split: str) -> float | None:
    """Accuracy in [0, 1] of a network on a split; None if either is absent."""
    hits = hits_on(context, network, split)
    return None if hits is None else float(hits.mean())


def share_of(context: Context, name: str, hits: np.ndarray) -> float:
    """The share of True in bool[N], the value `name` of a metric, which has its interval by this."""
    context.interval(name, partial(of_share, hits))
    return float(hits.mean())


def accuracy(context: Context) -> dict[str, float]:
    """Accuracy of the model on every split, in [0, 1].

    Every example counts the same. (The mean over batches of each batch's accuracy, which several
    published codes report, gives the examples of a short last batch a larger weight.) Where a
    scenario made the labels of training examples wrong, `forget_train` (of manipulated data also
    `manipulated_train` and `unidentified_train`) is agreement with the wrong ones, and
    `forget_train_clean` the accuracy against the true ones.
    """
    found = {split: hits_on(context, "model", split) for split in context.model.logits}
    for split in ("forget_train", "manipulated_train", "unidentified_train"):
        if split in context.clean:
            found[f"{split}_clean"] = true_hits_on(context, "model", split)
    return _accuracies(context, found)


def whole_train(context: Context) -> dict[str, float]:
    """Accuracy on all training images without, and with, a trigger, against the true labels; takes two passes."""
    splits = ("train_untriggered", "train_triggered")
    return _accuracies(context, {split: hits_on(context, "model", split) for split in splits})


def _accuracies(context: Context, found: dict[str, np.ndarray | None]) -> dict[str, float]:
    named = {f"accuracy/{split}": hits for split, hits in found.items() if hits is not None}
    return {name: share_of(context, name, hits) for name, hits in named.items()}
