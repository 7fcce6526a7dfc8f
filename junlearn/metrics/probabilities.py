"""Functions of a softmax, computed from logits so that saturation costs no digits.

Shapes: `logits` float64[N,K] and finite, `labels` int[N], results float64[N] or float64[N,K];
natural logarithms. Nothing here takes the logarithm of a rounded probability: log p and log(1 - p)
come from log-sum-exp, and are finite wherever the logits are.
"""

import numpy as np

from junlearn.metrics.context import Floats, Integers

__all__ = [
    "confidence",
    "entropy",
    "log_complement",
    "log_softmax",
    "logit_scaled_confidence",
    "modified_entropy",
    "softmax",
]


def _split_log_sum_exp(values: Floats) -> tuple[Floats, Floats]:
    """(top, rest), float64[N,1] each, with `logsumexp = top + rest`; `rest` is exact if tiny.

    The largest term, exp(0) = 1, goes into log1p: added to the others it would swallow them.
    """
    where = values.argmax(axis=1)[:, None]
    top = np.take_along_axis(values, where, axis=1)
    terms = np.exp(values - top)
    np.put_along_axis(terms, where, 0.0, axis=1)
    return top, np.log1p(terms.sum(axis=1, keepdims=True))


def _at(values: Floats, labels: Integers) -> Floats:
    return np.take_along_axis(values, labels[:, None], axis=1)[:, 0]


def log_softmax(logits: Floats) -> Floats:
    """`log p`, float64[N,K]."""
    logits = np.asarray(logits, np.float64)
    top, rest = _split_log_sum_exp(logits)
    return (logits - top) - rest


def softmax(logits: Floats) -> Floats:
    """`p`, float64[N,K]."""
    return np.exp(log_softmax(logits))


def log_complement(logits: Floats) -> Floats:
    """`log(1 - p)`, float64[N,K].

    `log1p(-p)` is exact for all but the largest entry of a row (`p <= 1/2` there). For the largest
    it is the log-sum-exp of the others' `log p`: `1 - p` rounds to 0 once the softmax saturates.
    """
    log_p = log_softmax(logits)
    top = log_p.argmax(axis=1)[:, None]
    others = log_p.copy()
    np.put_along_axis(others, top, -np.inf, axis=1)
    complement = np.log1p(-np.exp(others))
    np.put_along_axis(complement, top, sum(_split_log_sum_exp(others)), axis=1)
    return complement


def entropy(logits: Floats) -> Floats:
    """Shannon entropy `-sum_j p_j log p_j` in nats, with `0 log 0 = 0`; in `[0, log K]`."""
    log_p = log_softmax(logits)
    # log p is finite, so an entry that underflows to p = 0 contributes 0 and not NaN.
    return np.maximum(-np.sum(np.exp(log_p) * log_p, axis=1), 0.0)


def modified_entropy(logits: Floats, labels: Integers) -> Floats:
    """Entropy that knows the label: `-(1 - p_y) log p_y - sum_{j != y} p_j log(1 - p_j)`.

    0 for a sure and correct prediction, unbounded for a sure and wrong one (Song and Mittal,
    "Systematic Evaluation of Privacy Risks of Machine Learning Models", 2021).
    """
    log_p, log_q = log_softmax(logits), log_complement(logits)
    wrong = np.exp(log_p) * log_q
    np.put_along_axis(wrong, labels[:, None], 0.0, axis=1)
    return -np.exp(_at(log_q, labels)) * _at(log_p, labels) - wrong.sum(axis=1)


def confidence(logits: Floats, labels: Integers) -> Floats:
    """Probability of the true label, `p_y`."""
    return np.exp(_at(log_softmax(logits), labels))


def logit_scaled_confidence(logits: Floats, labels: Integers) -> Floats:
    """`log(p_y / (1 - p_y)) = z_y - logsumexp_{j != y} z_j`.

    It orders examples as `confidence` does, without the ties of a saturated softmax (Carlini et
    al., "Membership Inference Attacks From First Principles", 2022).
    """
    others = np.array(logits, np.float64)
    own = _at(others, labels)
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    top, rest = _split_log_sum_exp(others)
    return (own - top[:, 0]) - rest[:, 0]
