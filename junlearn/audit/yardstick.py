"""The retrained networks of an audit as a yardstick: what a perfect unlearner scores, and what could have been seen."""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from junlearn.audit import power
from junlearn.audit.attacks import absent
from junlearn.audit.ensembles import Ensemble
from junlearn.audit.margins import Margins, joined
from junlearn.audit.quantities import quantities, quantity, reachable, unreachable
from junlearn.audit.verdict import FAMILY
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import (
    ENOUGH,
    FEW,
    LEAST,
    Auditing,
    families,
    needed,
    too_few,
)
from junlearn.metrics import ensemble
from junlearn.metrics.ensemble import Relabelled, identity, splits

__all__ = ["Yardstick"]

QUALITY_SPLITS, QUALITY_PERMUTATIONS = 50, 199
"""Of F, whose every value is a search through 160,000 rules an example."""
SLOW = ("forgetting_quality",)
POWER_SPLITS = 100
SPLIT = 10
"""A stream of random numbers, beside those of `junlearn.audit.coins` and `judge`."""


class Yardstick:
    """Two retrained ensembles, and what halves of them score against each other."""

    bootstraps: int = 1000
    """Of an interval."""

    def __init__(
        self,
        retrained: Ensemble,
        twin: Ensemble | None,
        labels: Mapping[str, np.ndarray],
        classes: int,
        auditing: Auditing,
        original: Ensemble | None = None,
    ) -> None:
        """`original`: networks before unlearning, for attacks that know them. Without a twin the bands come from the
        unlearned and the retrained networks pooled.

        Raises ConfigError where too many networks diverged, or too few are left.
        """
        for side in (retrained, twin):
            if side is not None and side.too_many:
                raise ConfigError(f"audit: {side.too_many}")
        self.retrained, self.twin, self.labels = retrained, twin, labels
        self.original = original
        self.classes, self.auditing = classes, auditing
        self.families = families(auditing)
        self.networks = min(side.size for side in (retrained, twin) if side is not None)
        if self.networks < LEAST:
            raise ConfigError(too_few(self.networks))
        self.seconds = 0.0
        self.drawn: dict[int, dict[str, np.ndarray]] = {}
        """Numbers of single examples over halves, by networks a side, which `by_example` keeps here."""
        self._splits: dict[tuple[str, int], dict[str, np.ndarray]] = {}
        self._permuted: dict[tuple[str, int], dict[str, np.ndarray]] = {}
        self._detectable: dict[int, dict[str, float]] = {}
        self._seen: dict[tuple[int, int], float | None] = {}
        self._kept: dict[tuple[str, int], dict[str, np.ndarray]] = {}

    @cached_property
    def rho(self) -> dict[str, float]:
        """Correlation between the examples of a network, of each part."""
        sides = [side for side in (self.retrained, self.twin) if side is not None]
        return {
            name: float(np.mean([ensemble.rho(side.parts[name].phi) for side in sides]))
            for name in self.retrained.parts
            if self.retrained.parts[name].phi.shape[1] > 1
        }

    def on_paper(self, count: int, alarms: float = power.FALSE_ALARMS) -> float:
        """The mean shift of the forget set, in standard deviations, that `count` networks a side should see."""
        examples = self.retrained.parts["forget"].phi.shape[1]
        return power.on_paper(count, examples, self.rho.get("forget", 0.0), alarms)

    def detectable(self, count: int) -> dict[str, float]:
        """The shift of all margins, in standard deviations, that `count` networks a side see with probability 0.8.

        Of the forget set, by each test, measured on halves of the retrained networks; without twins there are none.
        """
        if self.twin is None:
            return {}
        if count not in self._detectable:
            null = self.null("forget", count)
            names = [n for n in FAMILY if n in null and quantity(n).family not in SLOW]
            found = {f"forget/{name}": self._shift(name, count) for name in names}
            self._detectable[count] = {n: seen for n, seen in found.items() if seen is not None}
        return self._detectable[count]

    def seen(self, count: int, tests: int) -> float | None:
        """The mean shift of the forget set that a verdict of so many tests sees: each has its part of the level.

        Measured where there are twins, else on paper; None where the moments were not asked for, or no shift is seen.
        """
        if "moments" not in self.families:
            return None
        level = self.auditing.level / max(1, tests)
        if self.twin is None:
            return self.on_paper(count, level)
        if (count, tests) not in self._seen:
            self._seen[count, tests] = self._shift("mean_shift", count, level)
        return self._seen[count, tests]

    def _shift(self, name: str, count: int, alarms: float = power.FALSE_ALARMS) -> float | None:
        """What one test sees on halves of the retrained networks."""
        halves = splits(POWER_SPLITS, count, self.rng(SPLIT, 1))
        return power.detectable(
            _statistic(name, self),
            self.pool("forget", count).phi,
            list(zip(halves.first, halves.second, strict=True)),
            self.null("forget", count)[name],
            quantity(name).direction,
            alarms,
        )

    def computed(
        self, part: str, pool: Margins, dealt: Relabelled, few: int | None = None
    ) -> dict[str, np.ndarray]:
        """The quantities of a part; those that take long for `few` ways of dealing alone (None: as a test
        needs), on the forget set.
        """
        forgets = part == "forget"
        asked = self.families_of(dealt.first.shape[1])
        options: dict[str, Any] = {
            "classes": self.classes,
            "rates": self.rates(pool.phi),
            "curves": forgets,
        }
        quick = [family for family in asked if family not in SLOW]
        found = quantities(pool, dealt, quick, self.auditing, **options)
        slow = [family for family in asked if family in SLOW and forgets]
        if slow:
            ways = max(QUALITY_PERMUTATIONS, needed(self.auditing)) if few is None else few
            found |= quantities(pool, _cut(dealt, ways), slow, self.auditing, **options)
        return found

    def families_of(self, count: int) -> tuple[str, ...]:
        """The metrics that were asked for, and mean something with `count` networks a side."""
        return tuple(name for name in self.families if count >= ENOUGH or name not in FEW)

    def rates(self, phi: np.ndarray) -> tuple[float, ...]:
        """The false positive rates that the scores of retrained networks reach, which are half of those of `phi`."""
        return reachable(self.auditing, phi.size // 2)

    def remarks(self) -> list[str]:
        """What was asked for and cannot be measured, or means little, with these networks."""
        lines = []
        if "efficacy" in self.families:
            pool = self.retrained.parts["forget"]
            negatives = self.networks * pool.phi.shape[1]
            lines += unreachable(self.auditing, negatives, "scores of retrained networks")
        attacks = [name for name in ("lira", "rmia") if name in self.families]
        for number in absent(self.labels) if attacks else ():
            lines.append(
                f"audit: no never-seen examples of class {number} to compare with; "
                f"{' and '.join(attacks)} do without it"
            )
        if self.networks < ENOUGH and self.auditing.pairing == "decoupled":
            lines += [
                f"audit: {name} is left out: it needs at least {ENOUGH} networks a side, {why}"
                for name, why in FEW.items()
                if self.auditing.metrics is None or name in self.families
            ]
        elif self.networks < 32 and "klom" in self.families:
            lines.append(
                f"audit: KLoM of {self.networks} networks a side is mostly noise; compare it with its null alone"
            )
        return lines

    @property
    def source(self) -> str:
        """Where the bands come from."""
        return "pooled" if self.twin is None else "split"

    def pool(self, part: str, count: int) -> Margins:
        """The retrained networks of both ensembles, `count` of each."""
        sides = [
            side.first(count).parts[part]
            for side in (self.retrained, self.twin)
            if side is not None
        ]
        return joined(sides)

    def halves(self, part: str, count: int) -> Relabelled:
        """Random halves of the retrained networks, the same for every method."""
        rng = self.rng(SPLIT, list(self.retrained.parts).index(part))
        return splits(self.auditing.splits, count, rng)

    def null(self, part: str, count: int) -> dict[str, np.ndarray]:
        """Every quantity of a part over random halves of the retrained networks."""
        if (part, count) not in self._splits:
            began = time.perf_counter()
            found = self._permuted.get((part, count))
            if found is None:
                pool, halves = self.pool(part, count), self.halves(part, count)
                found = self.computed(part, pool, halves, QUALITY_SPLITS)
            self._splits[part, count] = {
                name: values[
                    : self.auditing.splits if quantity(name).family not in SLOW else QUALITY_SPLITS
                ]
                for name, values in found.items()
            }
            self.seconds += time.perf_counter() - began
        return self._splits[part, count]

    def permuted(self, part: str, count: int) -> dict[str, np.ndarray]:
        """The same over as many ways as a test has: the twins' permutations, of which the first are the halves."""
        if (part, count) not in self._permuted:
            rng = self.rng(SPLIT, list(self.retrained.parts).index(part))
            ways = max(self.auditing.splits, self.auditing.permutations)
            found = self.computed(part, self.pool(part, count), splits(ways, count, rng))
            self._permuted[part, count] = found
        limit = self.auditing.permutations
        return {name: values[:limit] for name, values in self._permuted[part, count].items()}

    def once(
        self, name: str, count: int, make: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Null values that are the same for all methods, made when they are first asked for."""
        if (name, count) not in self._kept:
            self._kept[name, count] = make()
        return self._kept[name, count]

    def rng(self, stream: int, number: int) -> np.random.Generator:
        """Random numbers that depend on `audit.seed`, and on what they are for."""
        return np.random.default_rng((self.auditing.seed, stream, number))


def _cut(dealt: Relabelled, count: int) -> Relabelled:
    return Relabelled(*(rows[:count] for rows in dealt))


def _statistic(name: str, yardstick: Yardstick) -> Any:
    """A quantity of two ensembles of margins."""
    family = quantity(name).family

    def value(first: np.ndarray, second: np.ndarray) -> float:
        nothing = np.zeros((0, 0), int)
        pool = Margins(np.concatenate([first, second]), nothing)
        found = quantities(
            pool,
            identity(len(first), len(second)),
            [family],
            yardstick.auditing,
            classes=yardstick.classes,
            curves=False,
        )
        return float(found[name][0])

    return value
