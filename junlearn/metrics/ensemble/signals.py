"""What an attack looks at: one number of every network and example, from the logits and the training label.

The signal is the margin `phi(x, y) = z_y - logsumexp_{j != y} z_j = log(p_y / (1 - p_y))`, exact at any logits. The
published codes compute it from rounded probabilities with a guard; `guarded_margins` and `clipped_margins` give their
numbers, for comparison alone.
"""

from typing import Any, Literal

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats, Integers
from junlearn.metrics.ensemble import given
from junlearn.metrics.probabilities import confidence, logit_scaled_confidence

__all__ = ["Precision", "clipped_margins", "guarded_margins", "label_probabilities", "margins"]

Precision = Literal["float64", "float32_exponential", "float32"]

GUARD = 1e-45
CLIP = 1e-6


def margins(logits: Any, labels: Any) -> Floats:
    """phi, float64 [n] of logits [n, K], or [N, n] of an ensemble's [N, n, K]; in units of the logits.

    `labels` int[n] are those that training saw. Raises ConfigError unless K >= 2 and the logits are finite.
    """
    flat, repeated, shape = _rows(logits, labels, "margins")
    return logit_scaled_confidence(flat, repeated).reshape(shape)


def label_probabilities(logits: Any, labels: Any) -> Floats:
    """`p_y`, the probability of the training label: the signal of RMIA and IAM. Shapes as of `margins`."""
    flat, repeated, shape = _rows(logits, labels, "label_probabilities")
    return confidence(flat, repeated).reshape(shape)


def guarded_margins(logits: Any, labels: Any, precision: Precision = "float64") -> Floats:
    """`log(p_y + 1e-45) - log(sum_{j != y} p_j + 1e-45)`, as the released LiRA and forgetting-quality codes have it.

    Saturated examples tie at +-103.616, or at +-103.279 in "float32", where 1e-45 rounds to 1.4e-45.
    "float32_exponential" takes the exponential alone in float32. On devices that flush denormal numbers the released
    guard is 0. Shapes as of `margins`.
    """
    given.one_of(
        precision, "guarded_margins: precision", ("float64", "float32_exponential", "float32")
    )
    flat, repeated, shape = _rows(logits, labels, "guarded_margins")
    kind = np.dtype(np.float64 if precision == "float64" else np.float32)
    # The softmax as released: its rounding is part of what is reproduced.
    rows = flat.astype(kind)
    terms = np.exp(rows - rows.max(axis=1, keepdims=True))
    if precision == "float32_exponential":
        terms = terms.astype(np.float64)
    own, wrong = _split(terms / terms.sum(axis=1, keepdims=True), repeated)
    guard = own.dtype.type(GUARD)
    return (np.log(own + guard) - np.log(wrong + guard)).astype(np.float64).reshape(shape)


def clipped_margins(logits: Any, labels: Any) -> Floats:
    """`log clip(p_y, 1e-6, 1 - 1e-6) - log max(sum_{j != y} p_j, 1e-6)`, the signal of the released RULI.

    Its extremes are +-13.8. Shapes as of `margins`.
    """
    flat, repeated, shape = _rows(logits, labels, "clipped_margins")
    terms = np.exp(flat - flat.max(axis=1, keepdims=True))
    own, wrong = _split(terms / terms.sum(axis=1, keepdims=True), repeated)
    ratio = np.log(np.clip(own, CLIP, 1 - CLIP)) - np.log(np.maximum(wrong, CLIP))
    return ratio.reshape(shape)


def _split(softmax: np.ndarray, labels: Integers) -> tuple[np.ndarray, np.ndarray]:
    """Each row's probability of the label, and the sum of the others."""
    own = np.take_along_axis(softmax, labels[:, None], axis=1)[:, 0]
    others = softmax.copy()
    np.put_along_axis(others, labels[:, None], 0.0, axis=1)
    return own, others.sum(axis=1)


def _rows(logits: Any, labels: Any, name: str) -> tuple[Floats, Integers, tuple[int, ...]]:
    """Logits [N * n, K], the labels once for each of them, and the shape of the result."""
    many = len(given.shape_of(logits, f"{name}: logits")) == 3
    axes = ("networks", "examples", "classes") if many else ("examples", "classes")
    array = given.numbers(logits, f"{name}: logits", axes)
    *shape, classes = array.shape
    if classes < 2:
        raise ConfigError(f"{name}: logits of {classes} class; at least 2 are needed")
    found = given.whole(labels, f"{name}: labels", (shape[-1],))
    if found.min() < 0 or found.max() >= classes:
        reach = f"from {found.min()} to {found.max()}"
        raise ConfigError(f"{name}: labels reach {reach}, but there are {classes} classes")
    repeated = np.tile(found, shape[0]) if many else found
    return array.reshape(-1, classes), repeated, tuple(shape)
