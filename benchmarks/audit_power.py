"""Whether the shift that an audit says it sees is the one that is seen.

    python benchmarks/audit_power.py --rho 0 0.05

An audit tells from its own retrained networks which shift of all margins each test sees in four of five cases
(`told`), and of the mean shift a formula does (`paper`). `seen` is the truth, by simulation: of many pairs of ensembles
of one law, as `audit.drawn` makes them, one side is moved. A statistic is compared with its own 95 % quantile over the
pairs that were not moved, and `seen` is the shift at which it is above in four of five.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from audit import drawn
from report import markdown
from step_time import print_machine

from junlearn.audit import power
from junlearn.audit.margins import Margins
from junlearn.audit.yardstick import Yardstick
from junlearn.experiment.auditing import Auditing
from junlearn.metrics import ensemble

__all__ = ["STATISTICS", "Seen", "power_table", "seen", "told"]

Statistic = Callable[[np.ndarray, np.ndarray], float]

STATISTICS: dict[str, Statistic] = {
    "mean_shift": lambda first, second: abs(ensemble.moments(first, second).mean_shift),
    "accuracy": lambda first, second: ensemble.crossfit(first, second).accuracy,
    "energy": ensemble.energy,
    "klom_mean": lambda first, second: ensemble.klom(first, second).mean,
}
"""Each rises with the shift."""
METRICS = ("energy", "moments", "efficacy", "klom")
LARGEST = 2.0
HALVINGS = 9
"""Of the range of shifts: to 0.004 standard deviations, below which one is interpolated."""


class Seen(NamedTuple):
    """The mean over batches of simulations."""

    shift: float
    error: float
    """The standard error of the mean."""


def margins(rng: np.random.Generator, networks: int, examples: int, rho: float) -> Margins:
    """Of networks with mean 0."""
    return drawn(rng, networks, rho, {"forget": np.zeros(examples)}).parts["forget"]


def seen(
    statistic: Statistic,
    networks: int,
    examples: int,
    rho: float,
    audits: int,
    batches: int,
    seed: int,
) -> Seen:
    """The shift in standard deviations that a statistic shows with probability 0.8, from batches of so many audits."""
    found = []
    for batch in range(batches):
        rng = np.random.default_rng((seed, batch, networks, round(1000 * rho)))
        pairs = [
            [margins(rng, networks, examples, rho).phi for _ in range(2)] for _ in range(audits)
        ]
        threshold = np.quantile([statistic(*pair) for pair in pairs], 1 - power.FALSE_ALARMS)
        found.append(_least(statistic, pairs, float(threshold)))
    error = np.std(found, ddof=1) / np.sqrt(batches)
    return Seen(float(np.mean(found)), float(error))


def _least(statistic: Statistic, pairs: Sequence[Sequence[np.ndarray]], threshold: float) -> float:
    """The shift at which four of five pairs are above the threshold."""
    # Of a pair the largest shift that was not above, and the least that was: the others need not be tried.
    below, above = np.zeros(len(pairs)), np.full(len(pairs), np.inf)

    def share(shift: float) -> float:
        for place in np.flatnonzero((below < shift) & (shift < above)).tolist():
            first, second = pairs[place]
            side = above if statistic(first + shift, second) > threshold else below
            side[place] = shift
        return float(np.mean(above <= shift))

    low, high = 0.0, LARGEST
    shares = [power.FALSE_ALARMS, share(high)]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if (found := share(middle)) >= power.POWER:
            high, shares[1] = middle, found
        else:
            low, shares[0] = middle, found
    return low + (high - low) * (power.POWER - shares[0]) / (shares[1] - shares[0])


def told(networks: int, examples: int, rho: float, banks: int, seed: int) -> dict[str, np.ndarray]:
    """What the audits of so many banks say that each test sees, float64[banks]."""
    auditing = Auditing(models=networks, metrics=METRICS)
    labels = {"forget": np.zeros(examples, int)}
    found: dict[str, list[float]] = {}
    for bank in range(banks):
        rng = np.random.default_rng((seed, bank, networks, round(1000 * rho)))
        sides = [drawn(rng, networks, rho, {"forget": np.zeros(examples)}) for _ in range(2)]
        yardstick = Yardstick(sides[0], sides[1], labels, 10, auditing)
        for name, shift in yardstick.detectable(networks).items():
            found.setdefault(name.removeprefix("forget/"), []).append(shift)
    return {name: np.array(shifts) for name, shifts in found.items()}


def power_table(
    networks: Sequence[int], examples: int, rhos: Sequence[float], audits: int, banks: int
) -> str:
    """A row for each test, number of networks and rho."""
    rows = []
    for rho in rhos:
        for count in networks:
            said = told(count, examples, rho, banks, seed=7)
            for name, statistic in STATISTICS.items():
                # KLoM needs 16 networks a side, and a shift that no bank sees is absent.
                if (each := said.get(name)) is None:
                    continue
                truth = seen(statistic, count, examples, rho, audits, BATCHES, seed=3)
                formula = power.on_paper(count, examples, rho)
                rows.append(
                    [
                        f"`{name}`",
                        f"{count}",
                        f"{rho:g}",
                        f"{each.mean():.3f} ± {each.std(ddof=1) / np.sqrt(len(each)):.3f}",
                        f"{each.std(ddof=1):.3f}",
                        f"{truth.shift:.3f} ± {truth.error:.3f}",
                        f"{100 * (each.mean() / truth.shift - 1):+.0f} %",
                        f"{formula:.3f}" if name == "mean_shift" else "",
                    ]
                )
    header = ["test", "networks", "rho", "told", "sd of told", "seen", "told to seen", "paper"]
    return markdown(header, rows)


BATCHES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description="what audits see, and what they say they see")
    parser.add_argument("--audits", type=int, default=400, help=f"of each of {BATCHES} batches")
    parser.add_argument("--banks", type=int, default=12)
    parser.add_argument("--networks", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--rho", type=float, nargs="+", default=[0.0, 0.05])
    given = parser.parse_args()
    began = time.process_time()
    print_machine(len(os.sched_getaffinity(0)))
    sizes = (given.networks, given.examples, given.rho)
    print(f"\n{power_table(*sizes, given.audits, given.banks)}")
    print(f"\n{time.process_time() - began:.0f} s of the processor")


if __name__ == "__main__":
    main()
