"""RULI: the same games as U-LiRA and LiRA, with kernel densities in the place of Gaussians.

Naderloui et al., "Rectifying Privacy and Efficacy Measurements in Machine Unlearning", 2025. Of each example, with
Gaussian kernels on the margins of shadow networks,

    ratio = f_unlearned(phi) / (f_unlearned(phi) + f_out(phi))    in [0, 1]; 1/2 where nothing can be told

Privacy: both densities from shadows after unlearning. Efficacy: f_out from shadows *before* unlearning; unlearned
examples are scored on the unlearned target, never-seen ones on the original one. The bandwidth is in units of phi:
the released code has 1.0 whatever their scale; by default it is 0.9 min(sd, IQR / 1.34) N^(-1/5) of each example.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from junlearn.errors import ConfigError, short
from junlearn.metrics.context import Floats, Integers
from junlearn.metrics.ensemble import given
from junlearn.metrics.ensemble.fits import FLOOR, blocks_of
from junlearn.metrics.ensemble.relabelled import pieces
from junlearn.metrics.ensemble.ulira import KEPT, NEVER, UNLEARNED

__all__ = [
    "RELEASED_BANDWIDTH",
    "rule_of_thumb",
    "ruli_efficacy",
    "ruli_held_out",
    "ruli_privacy",
]

RELEASED_BANDWIDTH = 1.0


def rule_of_thumb(phi: Any) -> Floats:
    """float64[n]: the bandwidth 0.9 min(sd, IQR / 1.34) N^(-1/5) of each example's margins float[N, n].

    The deviation has N - 1; where the quartiles agree it stands alone. At least 1e-6 max(1, pooled deviation). Raises
    ConfigError for fewer than 2 networks and numbers that are not finite.
    """
    margins = given.numbers(phi, "ruli: phi", ("networks", "examples"))
    return _bandwidths(np.sort(margins, axis=0), "phi")


def ruli_privacy(
    unlearned: Any, never: Any, target: Any, *, bandwidth: float | None = None
) -> Floats:
    """float64[n]: the privacy ratio of one unlearned target network, high for forgotten members.

    `unlearned` float[N, n] and `never` float[M, n]: margins after unlearning in shadows that forgot the example and in
    those that never saw it; `target` float[n]. `bandwidth`: one number for all, `RELEASED_BANDWIDTH` for the released
    values, or None for `rule_of_thumb`. Raises ConfigError for shapes that do not fit, numbers that are not finite, a
    bandwidth not above 0, and fewer than 2 shadows where the rule has to find one.
    """
    aimed = given.numbers(target, "ruli: target", ("examples",))
    densities = []
    for name, value in (("unlearned", unlearned), ("never", never)):
        margins = given.numbers(value, f"ruli: {name}", ("networks", "examples"))
        if margins.shape[1] != len(aimed):
            raise ConfigError(
                f"ruli: {name} has {margins.shape[1]} examples, and target {len(aimed)}"
            )
        ordered = np.sort(margins, axis=0)
        densities.append(_log_density(ordered, aimed[None], _widths(ordered, bandwidth, name))[0])
    return expit(densities[0] - densities[1])


def ruli_efficacy(
    unlearned: Any,
    never_before: Any,
    target_unlearned: Any,
    target_original: Any,
    is_unlearned: Any,
    *,
    bandwidth: float | None = None,
) -> Floats:
    """float64[n]: the efficacy ratio; high where the unlearned target is told from a network that never had the
    example.

    `unlearned` float[N, n]: margins in shadows that forgot the example; `never_before` float[M, n]: in shadows before
    unlearning that never had it. `target_unlearned` and `target_original` float[n]: margins of the target after and
    before unlearning; the first is judged where `is_unlearned` bool[n], otherwise the second. Bandwidth and errors as
    of `ruli_privacy`.
    """
    after = given.numbers(target_unlearned, "ruli: target_unlearned", ("examples",))
    before = given.numbers(target_original, "ruli: target_original", ("examples",))
    if before.shape != after.shape:
        raise ConfigError(f"ruli: the targets have {len(after)} and {len(before)} examples")
    chosen = given.flags(is_unlearned, "ruli: is_unlearned", after.shape)
    judged = np.where(chosen, after, before)
    return ruli_privacy(unlearned, never_before, judged, bandwidth=bandwidth)


def ruli_held_out(
    phi: Any, status: Any, fold: Any, *, bandwidth: float | None = None, least: int = 4
) -> Floats:
    """float64[S, n]: the privacy ratio with every run in turn as the target, its block left out of the densities.

    `phi` float[S, n], `status` int[S, n] and `fold` int[S] as of `ulira`; NaN where the status is `KEPT`. Raises
    ConfigError as `ulira` does, and for a bandwidth not above 0.
    """
    margins = given.numbers(phi, "ruli: phi", ("runs", "examples"))
    kinds = given.whole(status, "ruli: status", margins.shape)
    blocks = blocks_of(given.whole(fold, "ruli: fold", margins.shape[:1]), "ruli")
    ratios = np.full(margins.shape, np.nan)
    for rows in blocks:
        rest = np.setdiff1d(np.arange(len(margins)), rows)
        densities = []
        for word, kind in (("unlearned", UNLEARNED), ("never-seen", NEVER)):
            chosen = kinds[rest] == kind
            if (few := chosen.sum(axis=0) < max(least, 2)).any():
                example = int(few.argmax())
                raise ConfigError(
                    f"audit: ruli: example {example} has {chosen[:, example].sum()} {word} runs in a fit; "
                    "give more runs or fewer folds"
                )
            # Infinity stands behind the shadows of an example: its kernel is 0.
            ordered = np.sort(np.where(chosen, margins[rest], np.inf), axis=0)
            ordered = ordered[: chosen.sum(axis=0).max()]
            widths = _widths(ordered, bandwidth, word)
            densities.append(_log_density(ordered, margins[rows], widths))
        ratios[rows] = expit(densities[0] - densities[1])
    return np.where(kinds == KEPT, np.nan, ratios)


def _widths(ordered: Floats, bandwidth: float | None, name: str) -> Floats | float:
    if bandwidth is None:
        return _bandwidths(ordered, name)
    if not 0 < bandwidth < np.inf:
        raise ConfigError(f"ruli: bandwidth must be above 0, not {short(bandwidth)}")
    return bandwidth


def _bandwidths(ordered: Floats, name: str) -> Floats:
    """Of the finite numbers in each column, ascending."""
    finite = np.isfinite(ordered)
    count = finite.sum(axis=0)
    if count.min() < 2:
        raise ConfigError(f"ruli: {name} has 1 network; a bandwidth needs at least 2")
    deviation = np.std(ordered, axis=0, ddof=1, where=finite)
    spread = (_quantile(ordered, count, 0.75) - _quantile(ordered, count, 0.25)) / 1.34
    width = 0.9 * np.where(spread > 0, np.minimum(deviation, spread), deviation) * count**-0.2
    return np.maximum(width, FLOOR * max(1.0, np.sqrt(np.mean(deviation**2))))


def _quantile(ordered: Floats, count: Integers, share: float) -> Floats:
    """Of the first `count[n]` numbers in each column, linearly interpolated: nanquantile is far slower."""
    place = share * (count - 1)
    before = place.astype(int)
    columns = np.arange(ordered.shape[1])
    low = ordered[before, columns]
    high = ordered[np.minimum(before + 1, count - 1), columns]
    return low + (place - before) * (high - low)


def _log_density(shadows: Floats, at: Floats, width: Floats | float) -> Floats:
    """float64[T,n]: the logarithm of the kernel density of the finite shadows at each target of `at[T,n]`.

    Without the constant that both kinds share.
    """
    sums = np.empty(at.shape)
    for piece in pieces(len(at), 8 * shadows.size):
        exponents = at[piece, None] - shadows
        exponents /= width
        exponents *= exponents
        exponents *= -0.5
        largest = exponents.max(axis=1)
        exponents -= largest[:, None]
        np.exp(exponents, out=exponents)
        sums[piece] = largest + np.log(exponents.sum(axis=1))
    return sums - np.log(np.isfinite(shadows).sum(axis=0) * width)
