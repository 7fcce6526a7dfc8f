"""How far the predictions of two networks are apart, example by example.

With p the softmax of the judged model and q that of a reference on the same example:

    JS(p, q)             = 1/2 KL(p || m) + 1/2 KL(q || m),  m = (p + q) / 2     in [0, log 2]
    ZRF                  = 1 - mean JS(p, q), q of an untrained network          in [1 - log 2, 1]
    activation distance  = mean ||p - q||_2, q of the retrained network          in [0, sqrt 2]
    agreement            = share of examples with argmax p = argmax q            in [0, 1]

Natural logarithms; sums over the classes and means over the examples, so that no value depends on
the number of classes as such. Sources: JS to the retrained model and ZRF, Chundawat et al. 2023
("Can Bad Teaching Induce Forgetting?"); activation distance and completeness (here "agreement"),
Golatkar et al. 2021 and Cao and Yang 2015.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from junlearn.metrics.context import Context, Floats, Network, pair_of
from junlearn.metrics.intervals import of_mean, of_share
from junlearn.metrics.probabilities import log_softmax, softmax

__all__ = [
    "activation_distance",
    "agreement",
    "divergence",
    "jensen_shannon",
    "probability_distance",
    "released_divergence",
    "same_class",
    "zrf",
    "zrf_released",
]

PerExample = Callable[[Floats, Floats], np.ndarray]


def jensen_shannon(logits: Floats, other: Floats) -> Floats:
    """`JS(softmax(logits), softmax(other))` of every row, float64[N] in nats."""
    log_p, log_q = log_softmax(logits), log_softmax(other)
    log_m = np.logaddexp(log_p, log_q) - np.log(2.0)
    terms = np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m)
    # Rounding alone can leave the interval.
    return np.clip(0.5 * terms.sum(axis=1), 0.0, np.log(2.0))


def probability_distance(logits: Floats, other: Floats) -> Floats:
    """`||softmax(logits) - softmax(other)||_2` of every row, float64[N]."""
    return np.linalg.norm(softmax(logits) - softmax(other), axis=1)


def same_class(logits: Floats, other: Floats) -> np.ndarray:
    """bool[N]: whether the largest entries of two rows are in the same place."""
    return logits.argmax(axis=1) == other.argmax(axis=1)


def released_divergence(logits: Floats, other: Floats) -> Floats:
    """Of every row, float64[N], the quantity that released ZRF codes take for JS(p, q).

    `1/2 mean_k m_k log(m_k / p_k) + 1/2 mean_k m_k log(m_k / q_k)`: KL in the other direction, without an upper bound,
    and divided by the number of classes.
    """
    log_p, log_q = log_softmax(logits), log_softmax(other)
    log_m = np.logaddexp(log_p, log_q) - np.log(2.0)
    return (np.exp(log_m) * (log_m - 0.5 * (log_p + log_q))).mean(axis=1)


def _rows(
    context: Context, reference: Network, per_example: PerExample, splits: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Split -> float64[N] or bool[N], of those splits on which both networks have rows."""
    pairs = {split: pair_of(context, reference, split) for split in splits}
    return {split: per_example(*pair) for split, pair in pairs.items() if pair is not None}


def _means(context: Context, name: str, found: dict[str, np.ndarray]) -> dict[str, float]:
    """`NAME/SPLIT` -> the mean over its examples, with its interval."""
    for split, rows in found.items():
        interval = of_share if rows.dtype == bool else of_mean
        context.interval(f"{name}/{split}", partial(interval, rows))
    return {f"{name}/{split}": float(rows.mean()) for split, rows in found.items()}


def _likeness(context: Context, name: str, per_example: PerExample) -> dict[str, float]:
    """`NAME/SPLIT` -> one less the mean over its examples, to the untrained network."""
    found = _rows(context, "random", per_example, ("forget_train", "test"))
    for split, rows in found.items():
        context.interval(f"{name}/{split}", partial(of_mean, 1.0 - rows))
    return {f"{name}/{split}": 1.0 - float(rows.mean()) for split, rows in found.items()}


def divergence(context: Context) -> dict[str, float]:
    """Jensen-Shannon divergence to the retrained model, on the forget set and on the test set.

    0 is ideal. Needs `retrain`.
    """
    found = _rows(context, "retrain", jensen_shannon, ("forget_train", "test"))
    return _means(context, "js", found)


def zrf(context: Context) -> dict[str, float]:
    """ZRF score: likeness to an untrained network on the forget set.

    The value on the test set is the reference level. The ideal is the retrained model's value, not
    1: a model that answers at random where a retrained one generalises has forgotten too much.
    Needs `random`.
    """
    return _likeness(context, "zrf", jensen_shannon)


def zrf_released(context: Context) -> dict[str, float]:
    """ZRF as the releases of SSD and others compute it, to compare with published numbers.

    `1 - mean released_divergence`: compressed towards 1 the more classes there are. Needs `random`.
    """
    return _likeness(context, "zrf_released", released_divergence)


def activation_distance(context: Context) -> dict[str, float]:
    """Mean L2 distance to the retrained model's probabilities on the forget set.

    0 is ideal. The root is taken for each example, before the mean. Needs `retrain`.
    """
    found = _rows(context, "retrain", probability_distance, ("forget_train",))
    return _means(context, "activation_distance", found)


def agreement(context: Context) -> dict[str, float]:
    """Completeness: the share of examples that the retrained model gives the same class.

    1 is ideal. Needs `retrain`.
    """
    found = _rows(context, "retrain", same_class, ("forget_train", "test"))
    return _means(context, "agreement", found)
