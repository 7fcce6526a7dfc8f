"""Numbers of the design "random" as released codes compute them, to compare with published ones; never a test."""

import numpy as np

from junlearn.audit.coins import Coins
from junlearn.metrics import ensemble

__all__ = ["IN_SAMPLE", "in_sample_probability", "lira_released_auc"]

IN_SAMPLE = "ulira_deepunlearn (in-sample)"
"""The name says what is wrong with it."""


def lira_released_auc(phi: np.ndarray, included: np.ndarray) -> float:
    """AUC of the released LiRA (online, deviations of each example): every run in turn against all others."""
    scores = np.stack(
        [
            ensemble.lira_released(np.delete(phi, s, 0), np.delete(included, s, 0), phi[s])
            for s in range(len(phi))
        ]
    )
    # Its low scores are those of members.
    return ensemble.roc_area(-scores.ravel(), included.ravel())


def in_sample_probability(right: np.ndarray, drawn: Coins) -> float:
    """The mean membership probability that the Deep Unlearn code gives forgotten examples.

    `right` bool[S,F,n]: whether each network answers rightly. NaN, where all outcomes of a kind agree, is left out; 0
    where nothing else is there.
    """
    own = np.take_along_axis(right, drawn.group[:, None], axis=1)[:, 0]
    # As many runs with an example as without: every column has the same number of both.
    order = np.argsort(~drawn.included, axis=0, kind="stable")
    sides = np.split(np.take_along_axis(own, order, axis=0), 2)
    found = ensemble.ulira_in_sample(*sides)
    known = found[np.isfinite(found)]
    return float(known.mean()) if known.size else 0.0
