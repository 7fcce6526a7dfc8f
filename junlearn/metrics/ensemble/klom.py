"""KLoM: the KL divergence between two histograms of an example's margins (Georgiev et al. 2024).

Per example, margins are clipped to +-100 and counted in 20 equal bins over their joint range. With the shares p of the
unlearned networks and q of the retrained ones, `q <- max(q, 1e-5)` where p > 0, KLoM is `sum p ln(p / q)`, at most
11.5. A perfect unlearner does not score 0: two samples of one law fill bins differently, and much so below 64 networks
a side (6.4 at 8, 0.63 at 64).
"""

from typing import Literal, NamedTuple, get_args

import numpy as np

from junlearn.errors import unknown
from junlearn.metrics.context import Floats, Integers
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    check_deal,
    pieces,
    pool_of,
    selection,
)

__all__ = ["Klom", "KlomCompat", "klom", "resampled_klom", "resampled_klom_values"]

KlomCompat = Literal["", "easydub", "bench2410"]
"""Whose numbers: of the definition, or of a release of its authors.

Both releases leave the last bin open, so that margins equal to the joint maximum are dropped, and take shares of what
is left. Where nothing is left of the unlearned networks, "easydub" gives 0, as if they were perfect, and "bench2410"
NaN. The latter scales both to a sum of 1 after the floor: where nothing is left of the retrained networks it gives 0.
"""

BINS = 20
CLIP = 100.0
FLOOR = 1e-5
FEW = 4
"""Ways to deal out that are counted one by one, which is faster than a matrix product."""


class Klom(NamedTuple):
    """KLoM of one ensemble against another, in nats."""

    per_example: Floats
    """float64[n]."""
    mean: float
    median: float
    p95: float
    """The 95th percentile over the examples, linearly interpolated."""


def klom(unlearned: np.ndarray, retrained: np.ndarray, compat: KlomCompat = "") -> Klom:
    """KLoM from margins `[N,n]` and `[N',n]`. Raises ConfigError if margins are not finite, or for an unknown form."""
    values = resampled_klom_values(*pool_of(unlearned, retrained), compat)
    mean, median, p95 = (float(part[0]) for part in _summary(values).values())
    return Klom(values[0], mean, median, p95)


def resampled_klom(
    pool: np.ndarray, relabelled: Relabelled, compat: KlomCompat = ""
) -> dict[str, Floats]:
    """`mean`, `median` and `p95` over the examples, float64[P] each, for each way to deal out the pool `[M,n]`."""
    return _summary(resampled_klom_values(pool, relabelled, compat))


def resampled_klom_values(
    pool: np.ndarray, relabelled: Relabelled, compat: KlomCompat = ""
) -> Floats:
    """KLoM float64[P,n] of every example, for each way to deal out the pool `[M,n]`; its bins stay as they are."""
    if compat not in get_args(KlomCompat):
        raise unknown("form of klom", compat, get_args(KlomCompat))
    rows = check_deal(pool, relabelled)
    ways, networks = len(relabelled.first), len(rows)
    values = np.empty((ways, rows.shape[1]))
    for piece in pieces(rows.shape[1], BINS * 8 * max(ways, networks)):
        bins = _bins(rows[:, piece])
        if not compat:
            bins = np.minimum(bins, BINS - 1)
        first, second = (_counts(bins, side) for side in relabelled)
        values[:, piece] = _divergence(first, second, compat)
    return values


def _counts(bins: Integers, side: Integers) -> Floats:
    """How many of the networks `side[P,N]` are in each bin, float64`[P,n,20]`; those in bin 20 are in none."""
    networks, examples = bins.shape
    if len(side) <= FEW:
        place = bins + (BINS + 1) * np.arange(examples)
        size = (BINS + 1) * examples
        found = np.stack([np.bincount(place[rows].ravel(), minlength=size) for rows in side])
        return found.reshape(len(side), examples, BINS + 1)[..., :BINS].astype(np.float64)
    # Matrix products in float32, exact for counts below 2^24.
    inside = (bins[:, :, None] == np.arange(BINS)).reshape(networks, -1).astype(np.float32)
    product = selection(side, networks, np.float32) @ inside
    return product.reshape(len(side), examples, BINS).astype(np.float64)


def _summary(values: Floats) -> dict[str, Floats]:
    """Of values `[P,n]`."""
    median, p95 = np.percentile(values, [50, 95], axis=1)
    return {"mean": values.mean(axis=1), "median": median, "p95": p95}


def _bins(pool: Floats) -> Integers:
    """The bin 0..19 of every margin of `[M,n]`, and 20 of those at the upper edge of the last one."""
    clipped = np.clip(pool, -CLIP, CLIP)
    low, high = clipped.min(axis=0), clipped.max(axis=0)
    high = np.where(high > low, high, low + 1.0)
    edges = np.linspace(low, high, BINS + 1)
    bins = np.zeros(pool.shape, np.int8)
    for edge in edges[1:]:
        bins += clipped >= edge
    return bins


def _divergence(unlearned: Floats, retrained: Floats, compat: KlomCompat) -> Floats:
    """`sum p ln(p / q)` over the last axis, of counts `[..., 20]`."""
    total = unlearned.sum(axis=-1, keepdims=True)
    p = unlearned / np.maximum(total, 1.0)
    q = retrained / np.maximum(retrained.sum(axis=-1, keepdims=True), 1.0)
    filled = unlearned > 0
    q = np.where(filled, np.maximum(q, FLOOR), q)
    ratio = np.divide(p, q, out=np.ones_like(p), where=filled)
    found = (p * np.log(ratio)).sum(axis=-1)
    if compat == "bench2410":
        found = found + np.log(q.sum(axis=-1, where=q > 0, initial=0.0).clip(FLOOR))
        found = np.where(total[..., 0] > 0, found, np.nan)
    return found
