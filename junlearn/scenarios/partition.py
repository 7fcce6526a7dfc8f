"""From a rule to a Split: the part that all scenarios share."""

from collections.abc import Sequence

import jax
import numpy as np

from junlearn.errors import ConfigError
from junlearn.types import Key, Split

__all__ = ["generator", "partition", "per_class", "so_far"]


def generator(key: Key) -> np.random.Generator:
    """The host's random numbers of a scenario."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def partition(
    forget: np.ndarray, forget_test: np.ndarray, key: Key, classes: tuple[int, ...] = ()
) -> Split:
    """The Split of boolean marks over "train" (`forget[N]`) and "test" (`forget_test[M]`); indices ascend."""
    if not forget.any():
        raise ConfigError("the forget set is empty: the scenario selects no training example")
    if forget.all():
        raise ConfigError("the retain set is empty: the scenario forgets every training example")
    return Split(
        forget=np.flatnonzero(forget),
        retain=np.flatnonzero(~forget),
        forget_test=np.flatnonzero(forget_test),
        retain_test=np.flatnonzero(~forget_test),
        classes=classes,
        seed=int(generator(key).integers(2**31)),
    )


def per_class(
    rng: np.random.Generator, labels: np.ndarray, fractions: Sequence[float]
) -> np.ndarray:
    """bool[N]: floor(p_k N_k) examples of every class k, drawn without replacement."""
    drawn = np.zeros(labels.size, bool)
    for label, fraction in enumerate(fractions):
        members = np.flatnonzero(labels == label)
        drawn[rng.choice(members, int(fraction * members.size), replace=False)] = True
    return drawn


def so_far(requests: Sequence[Split]) -> Split:
    """All of several requests, one after the other, as one: a partition, and of a single request the request itself.

    Its `classes` are those of all, where each is for whole classes.
    """
    if len(requests) == 1:
        return requests[0]
    last = requests[-1]
    forget, forget_test = (
        np.sort(np.concatenate([getattr(request, name) for request in requests]))
        for name in ("forget", "forget_test")
    )
    classes = [request.classes for request in requests]
    return last._replace(
        forget=forget,
        forget_test=forget_test,
        classes=tuple(sorted(sum(classes, ()))) if all(classes) else (),
    )
