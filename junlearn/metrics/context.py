"""What the metrics read: the logits of up to four networks on named splits, the labels, and the weights.

Everything here lives on the host in numpy. The rows are checked when a metric asks for them, so an
error names the network and the split that it comes from.
"""

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from junlearn.errors import DivergedError
from junlearn.metrics.intervals import Interval
from junlearn.types import Variables

__all__ = [
    "Context",
    "Curve",
    "Floats",
    "Integers",
    "Network",
    "Outputs",
    "Relearned",
    "labels_of",
    "logits_of",
    "pair_of",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]
Network = Literal["model", "original", "retrain", "random"]


class Outputs(NamedTuple):
    """One network's logits on every split."""

    logits: Mapping[str, np.ndarray]
    """Split name -> float[N,K]. The names that metrics know are `retain_train`, `forget_train`,
    `validation`, `test`, `retain_test` and `forget_test`; of manipulated data also
    `manipulated_train` (known and unknown), `unidentified_train` (the unknown), both as training sees
    them, and with a backdoor `test_triggered`, `manipulated_untriggered`, `train_untriggered` and
    `train_triggered`. A split that is empty is absent."""


class Relearned(NamedTuple):
    """What it took to learn the forget set again."""

    steps: int
    """Mini-batches."""
    epochs: float
    """The same in passes over the forget set."""
    reached: bool
    """False where the cap came before the level."""


Curve = Mapping[int, Mapping[str, float]]
"""Steps of training -> split name -> accuracy, in the order of the steps."""


def _unasked(name: str, interval: Callable[[], Interval | None]) -> None:
    """Nobody wants to know."""


class Context(NamedTuple):
    """All that a metric may read: the network that is judged, its references and the labels."""

    model: Outputs
    """The network that is judged."""
    labels: Mapping[str, np.ndarray]
    """Split name -> int[N]."""
    original: Outputs | None = None
    """The network before unlearning."""
    retrain: Outputs | None = None
    """The network trained without the forget set: the reference that unlearning approximates."""
    random: Outputs | None = None
    """An untrained network, the "incompetent teacher" of ZRF."""
    classes: tuple[int, ...] = ()
    """The classes that are forgotten whole; empty in any other scenario."""
    target: int | None = None
    """The label that a backdoor trigger calls for."""
    clean: Mapping[str, np.ndarray] = MappingProxyType({})
    """Split name -> int[N] of the true labels, where a scenario made those of `labels` wrong."""
    sample: np.ndarray = np.zeros(0, int)
    """int[|D_f|]: the rows of `retain_train` that make up D_s, in the order drawn."""
    networks: Mapping[Network, Variables] = MappingProxyType({})
    """The weights of the same networks but the random one, as far as they are there."""
    relearn: Callable[[Network, float], Relearned] | None = None
    """`(network, level) -> Relearned`: fine-tune the network until its accuracy on the forget set is `level`."""
    relearn_retain: Callable[[], Curve] | None = None
    """Train the model that is judged on with the retain set for an epoch."""
    remark: Callable[[str], None] = logging.getLogger(__name__).warning
    """Takes a line on what was asked for and could not be measured."""
    interval: Callable[[str, Callable[[], Interval | None]], None] = _unasked
    """Takes the name of a value, and what makes its interval (`junlearn.metrics.intervals`) where that is wanted."""


def logits_of(context: Context, network: Network, split: str) -> Floats | None:
    """The logits float64[N,K] of a network on a split; None if there are none.

    Raises `ValueError` if the array is not a matrix of at least two classes, and `DivergedError` if
    a logit is NaN or infinite: no probability could be computed from it.
    """
    outputs: Outputs | None = getattr(context, network)
    if outputs is None or split not in outputs.logits or len(outputs.logits[split]) == 0:
        return None
    logits = np.asarray(outputs.logits[split], np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"logits of the {network} network on {split!r}: expected [N,K] with K >= 2, "
            f"got shape {logits.shape}"
        )
    bad = int(np.sum(~np.isfinite(logits).all(axis=1)))
    if bad:
        raise DivergedError(
            f"logits of the {network} network on {split!r} are NaN or infinite "
            f"in {bad} of {len(logits)} rows"
        )
    return logits


def labels_of(context: Context, split: str, logits: Floats) -> Integers:
    """The labels int[N] of a split, checked against its logits.

    Raises `ValueError` if they are missing, not integers, of another number or outside of `[0, K)`.
    """
    if split not in context.labels:
        raise ValueError(f"there are logits but no labels on {split!r}")
    labels = np.asarray(context.labels[split])
    rows, classes = logits.shape
    if labels.shape != (rows,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels on {split!r}: expected {rows} integers, got {labels.dtype}{list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels on {split!r} reach from {labels.min()} to {labels.max()}, "
            f"but there are {classes} classes"
        )
    return labels


def pair_of(context: Context, reference: Network, split: str) -> tuple[Floats, Floats] | None:
    """The logits of the model and of a reference on the same rows; None if either is absent.

    Raises `ValueError` if the two differ in shape.
    """
    model = logits_of(context, "model", split)
    other = logits_of(context, reference, split)
    if model is None or other is None:
        return None
    if model.shape != other.shape:
        raise ValueError(
            f"logits on {split!r}: {model.shape} of the model, "
            f"{other.shape} of the {reference} network"
        )
    return model, other
