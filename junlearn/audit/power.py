"""What an audit could have seen: the smallest shift of all margins that N networks a side show with probability 0.8.

On paper, from the correlation rho between the examples of a network:

    (1)  shift = (z + 0.84) sqrt(2 / N) sqrt((1 + (n - 1) rho) / n)     in standard deviations of an example's margin

with z = 1.96 for one test at 5 %, and more where several tests share the 5 %.

Measured: one half of a split of the retrained networks is moved by delta standard deviations of each example, and the
statistic compared with the 95 % quantile over the splits; where four of five are above, delta would have been seen.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from junlearn.audit.nulls import Direction, extreme

__all__ = ["detectable", "networks_for", "on_paper", "plan"]

POWER = 0.8
"""The probability with which a shift counts as seen."""
FALSE_ALARMS = 0.05
"""The probability with which no shift is seen."""
RANGE = (0.005, 1.0)
"""Shifts that are looked for, in standard deviations."""
HALVINGS = 6
"""Of the range, on a logarithmic scale: to 9 %, within which the probability is interpolated."""


def on_paper(networks: int, examples: int, rho: float, alarms: float = FALSE_ALARMS) -> float:
    """(1): the mean shift in standard deviations that `networks` a side see, at so many false alarms."""
    return _factor(alarms) * math.sqrt(2 / networks) * math.sqrt(_variance(examples, rho))


def networks_for(shift: float, examples: int, rho: float) -> int:
    """The networks a side that see a mean shift of so many standard deviations, at least 8."""
    return max(8, math.ceil(2 * (_factor(FALSE_ALARMS) / shift) ** 2 * _variance(examples, rho)))


def _factor(alarms: float) -> float:
    """The sum of the normal quantiles of a two-sided test and of the probability of seeing."""
    normal = NormalDist()
    return normal.inv_cdf(1 - alarms / 2) + normal.inv_cdf(POWER)


def _variance(examples: int, rho: float) -> float:
    """Of the average over the examples of a network, each with variance 1."""
    return (1 + (examples - 1) * max(rho, 0.0)) / examples


def detectable(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    pool: np.ndarray,
    halves: Sequence[tuple[np.ndarray, np.ndarray]],
    null: np.ndarray,
    direction: Direction,
    alarms: float = FALSE_ALARMS,
) -> float | None:
    """The shift that is seen with probability 0.8, in standard deviations; None if 1 is not.

    `statistic` takes two ensembles of margins; `pool` float64[M,n] are retrained networks, `halves` the rows of either
    side, and `null` float[P] values of the statistic over splits without a shift. `alarms`: how often no shift is seen.
    """
    sd = pool.std(axis=0, ddof=1)
    threshold = np.quantile(extreme(null, direction), 1 - alarms)
    # Per split the largest shift that was not seen, and the least that was: a statistic rises with the shift.
    unseen, seen = np.zeros(len(halves)), np.full(len(halves), np.inf)

    def power(delta: float) -> float:
        for split in np.flatnonzero((unseen < delta) & (delta < seen)).tolist():
            first, second = halves[split]
            value = statistic(pool[first] + delta * sd, pool[second])
            (seen if extreme(value, direction) > threshold else unseen)[split] = delta
        return float(np.mean(seen <= delta))

    low, high = RANGE
    below, above = alarms, power(high)
    if above < POWER:
        return None
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        if (share := power(middle)) >= POWER:
            high, above = middle, share
        else:
            low, below = middle, share
    return low + (high - low) * (POWER - below) / (above - below)


def plan(networks: int, examples: int, shift: float, rho: float = 0.05) -> str:
    """What `networks` a side would see on so many examples, and how many see `shift`: lines of text.

    `rho` is not known before networks are trained: 0.05 is what two networks on digits had (0.027 and 0.059).
    """
    sizes = sorted({8, 16, 32, 64, 128, networks})
    lines = [
        f"{examples} examples to forget; correlation between examples of a network: {rho:g} (assumed)",
        "networks a side   smallest shift of all margins that is seen with probability 0.8",
    ]
    lines += [
        f"{size:15d}   {on_paper(size, examples, rho):.2f} sd{' <- audit.models' * (size == networks)}"
        for size in sizes
    ]
    lines.append(
        f"a shift of {shift:g} sd needs {networks_for(shift, examples, rho)} networks a side"
    )
    return "\n".join(lines) + "\n"
