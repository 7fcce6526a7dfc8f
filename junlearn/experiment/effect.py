"""What a run says of a method beside its figures: that it changed nothing, or what it guarantees."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from junlearn.metrics import Context
from junlearn.metrics.accuracy import accuracy_on
from junlearn.types import Variables

__all__ = ["guaranteed", "same_figures", "without_effect"]


def without_effect(context: Context) -> str:
    """In words, that a network is still what the original was; empty where it is not, or there is no original."""
    networks, before = context.networks, context.original
    if before is None or "original" not in networks:
        return ""
    if _equal(networks["original"], networks["model"]):
        return "it changed no weight"
    old, new = before.logits, context.model.logits
    shared = old.keys() & new.keys()
    if shared and all(np.array_equal(old[n].argmax(1), new[n].argmax(1)) for n in shared):
        return "it changed no prediction on any example"
    # Only of whole classes it is known that less must be left.
    if not context.classes:
        return ""
    left, had = (accuracy_on(context, role, "forget_train") for role in ("model", "original"))
    if left is None or had is None or left < had:
        return ""
    return f"it forgot nothing, the accuracy on the forget set is {left:.2%} ({had:.2%} before)"


def guaranteed(certificate: Mapping[str, Any]) -> str:
    """A certificate on one line: the bounds, and all that they stand on."""
    bounds = f"epsilon {certificate['epsilon']:.4g}, delta {certificate['delta']:.4g}"
    return f"certified by {certificate['mechanism']}: {bounds}; assumed: {'; '.join(certificate['assumed'])}"


def same_figures(original: Mapping[str, float], metrics: Mapping[str, float]) -> bool:
    """Whether all accuracies of a network are the original's."""
    names = [name for name in metrics if name.startswith("accuracy/")]
    return bool(names) and all(original.get(name) == metrics[name] for name in names)


def _equal(a: Variables, b: Variables) -> bool:
    """Whether two networks have the same arrays to the bit."""
    one, other = (dict(jax.tree.leaves_with_path(network)) for network in (a, b))
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)
