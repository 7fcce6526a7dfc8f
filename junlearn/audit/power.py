"""What an audit could have seen: the smallest shift of all margins that N networks a side show with probability 0.8.

On paper, from the correlation rho between the examples of a network (`audit.md` b.10, 6):

    (1)  shift = 2.8 sqrt(2 / N) sqrt((1 + (n - 1) rho) / n)      in standard deviations of an example's margin

Measured: one half of a split of the retrained networks is moved by delta standard deviations of each example, and the
statistic compared with the 95 % quantile over the splits; where four of five are above, delta would have been seen.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from junlearn.audit.nulls import Direction, extreme

__all__ = ["detectable", "networks_for", "on_paper", "plan"]

FACTOR = 2.8
"""The sum of the normal quantiles of a one-sided test at 0.025 (1.96) and of a probability of 0.8 (0.84)."""
POWER = 0.8
GRID = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


def on_paper(networks: int, examples: int, rho: float) -> float:
    """(1): the mean shift in standard deviations that `networks` a side see."""
    return FACTOR * math.sqrt(2 / networks) * math.sqrt(_variance(examples, rho))


def networks_for(shift: float, examples: int, rho: float) -> int:
    """The networks a side that see a mean shift of so many standard deviations, at least 8."""
    return max(8, math.ceil(2 * (FACTOR / shift) ** 2 * _variance(examples, rho)))


def _variance(examples: int, rho: float) -> float:
    """Of the average over the examples of a network, each with variance 1."""
    return (1 + (examples - 1) * max(rho, 0.0)) / examples


def detectable(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    pool: np.ndarray,
    halves: Sequence[tuple[np.ndarray, np.ndarray]],
    null: np.ndarray,
    direction: Direction,
) -> float | None:
    """The shift that is seen with probability 0.8, in standard deviations; None if 1 is not.

    `statistic` takes two ensembles of margins; `pool` float64[M,n] are retrained networks, `halves` the rows of either
    side, and `null` float[P] values of the statistic over splits without a shift.
    """
    sd = pool.std(axis=0, ddof=1)
    threshold = np.quantile(extreme(null, direction), 0.95)

    def power(delta: float) -> float:
        moved = [statistic(pool[a] + delta * sd, pool[b]) for a, b in halves]
        return float(np.mean(extreme(np.asarray(moved), direction) > threshold))

    before, seen = 0.0, 0.05
    for delta in GRID:
        now = power(delta)
        if now >= POWER:
            share = (POWER - seen) / (now - seen) if now > seen else 1.0
            return before + (delta - before) * min(max(share, 0.0), 1.0)
        before, seen = delta, now
    return None


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
