"""What an audit looks at: the margin of the label and the predicted class, of many networks on the same examples."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.probabilities import logit_scaled_confidence

__all__ = ["Margins", "joined", "label_probability", "margins_of"]


class Margins(NamedTuple):
    """N networks on n examples."""

    phi: np.ndarray
    """float64[N,n]: `z_y - logsumexp_{j != y} z_j`, y being the label that training saw."""
    predicted: np.ndarray
    """int[N,n]: the class with the largest logit."""

    def rows(self, networks: Any) -> "Margins":
        """Those of some of the networks."""
        return Margins(self.phi[networks], self.predicted[networks])

    def columns(self, examples: Any) -> "Margins":
        """Those of some of the examples."""
        return Margins(self.phi[:, examples], self.predicted[:, examples])


def label_probability(phi: np.ndarray) -> np.ndarray:
    """The probability of the label, from its margin; of any shape."""
    return 0.5 * (1 + np.tanh(phi / 2))


def joined(parts: Sequence[Margins]) -> Margins:
    """The networks of several ensembles, one after the other."""
    return Margins(
        np.concatenate([part.phi for part in parts]),
        np.concatenate([part.predicted for part in parts]),
    )


def margins_of(logits: np.ndarray, labels: np.ndarray, what: str) -> Margins:
    """Of logits [N,n,K] with labels int[n]; a network at a time, since all of it in float64 is large.

    Raises ConfigError for another shape, one class alone, labels out of range and logits that are not finite; `what`
    names the ensemble, in the line.
    """
    if logits.ndim != 3 or 0 in logits.shape:
        raise ConfigError(
            f"audit: {what} has shape {list(logits.shape)}: logits of networks, examples and classes [N,n,K] are wanted"
        )
    networks, examples, classes = logits.shape
    if classes < 2:
        raise ConfigError(f"audit: {what} has {classes} logit an example; two or more are needed")
    if labels.shape != (examples,) or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"audit: labels are {labels.dtype}{list(labels.shape)}: {examples} whole numbers are wanted, as {what} has"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ConfigError(
            f"audit: labels reach from {labels.min()} to {labels.max()}, but {what} has {classes} classes"
        )
    phi = np.empty((networks, examples))
    predicted = np.empty((networks, examples), np.int32)
    for i, one in enumerate(logits):
        if not np.isfinite(one).all():
            bad = int(np.sum(~np.isfinite(one).all(axis=1)))
            raise ConfigError(
                f"audit: network {i} of {what} has logits that are NaN or infinite, on {bad} of {examples} examples"
            )
        phi[i] = logit_scaled_confidence(one.astype(np.float64), labels)
        predicted[i] = one.argmax(axis=1)
    return Margins(phi, predicted)
