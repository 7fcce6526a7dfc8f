"""Energy distance between two laws of networks (Szekely and Rizzo 2013).

A network is one point: its margins on all examples, each divided by the standard deviation of that example. With
Euclidean norms,

    energy = 2 mean |u - r| - mean_{i != j} |u_i - u_j| - mean_{i != j} |r_i - r_j|

is unbiased: 0 on average under perfect unlearning, and often negative. It sees any difference in law, also one in how
the examples depend on each other, and less sharply than the mean shift what all examples share.
"""

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    check_deal,
    pool_of,
    selection,
)

__all__ = ["energy", "resampled_energy"]

CLOSE = 1e-4
"""Of two squared norms, the share below which a squared distance is not computed from them."""


def energy(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    """The energy distance from margins `[N,n]` and `[N',n]`, both N at least 2.

    Examples on which all networks agree are left out. Raises ConfigError if margins are not finite, or a side has one
    network.
    """
    return float(resampled_energy(*pool_of(unlearned, retrained))[0])


def resampled_energy(pool: np.ndarray, relabelled: Relabelled) -> Floats:
    """The energy distance float64[P] for each way to deal out the pool `[M,n]`; distances are taken once."""
    rows = check_deal(pool, relabelled)
    if min(side.shape[1] for side in relabelled) < 2:
        raise ConfigError("energy: a distance within a side needs at least 2 networks")
    distances = _distances(rows)
    sides = [selection(side, len(rows)) for side in relabelled]
    to_second = sides[1] @ distances
    between = np.einsum("pm,pm->p", sides[0], to_second) / (
        relabelled.first.shape[1] * relabelled.second.shape[1]
    )
    within = []
    for side, sums in zip(sides, (sides[0] @ distances, to_second), strict=True):
        number = side[0].sum()
        within.append(np.einsum("pm,pm->p", side, sums) / (number * (number - 1)))
    return 2 * between - within[0] - within[1]


def _distances(rows: Floats) -> Floats:
    """Euclidean distances [M,M] between the networks, every example divided by its standard deviation."""
    varied = np.ptp(rows, axis=0) > 0
    scaled = rows[:, varied] / rows[:, varied].std(axis=0, ddof=1)
    scaled -= scaled.mean(axis=0)
    squares = np.einsum("mn,mn->m", scaled, scaled)
    sums = squares[:, None] + squares
    found = np.maximum(sums - 2 * (scaled @ scaled.T), 0.0)
    # A small difference of large products has lost its digits, so it is taken by itself.
    for one, other in np.argwhere(np.triu(found < CLOSE * sums, 1)):
        found[one, other] = found[other, one] = np.sum((scaled[one] - scaled[other]) ** 2)
    np.fill_diagonal(found, 0.0)
    return np.sqrt(found)
