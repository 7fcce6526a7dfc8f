"""Audits of networks that were drawn from a known law: false alarms, power, and what nulls and metrics cost.

    python benchmarks/audit.py alarms --audits 1000
    python benchmarks/audit.py coins --audits 1000
    python benchmarks/audit.py speed

`alarms` and `coins` audit a perfect unlearner, in the designs "request" and "random": all ensembles have one law. Every
test should then have a p value of at most 0.05 in 5 of 100 audits, and the verdict be "distinguishable" in at most 5.
Both print each share with its exact binomial interval. 39 permutations are enough for a share: p is at most 0.05 where
at most one of them is as extreme, which has probability 2/40. A verdict over six tests needs 119, and bands 200 splits.
Margins are normal; `rho` is the share of their variance that the examples of a network have in common. `speed` takes
arrays of logits through `junlearn.audit.compare`. What audits say that they see is in `audit_power.py`.
"""

import argparse
import math
import os
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from report import markdown
from scipy import stats
from step_time import print_machine

from junlearn import audit
from junlearn.audit import coins
from junlearn.audit.ensembles import Ensemble
from junlearn.audit.judge import Judgement, judge
from junlearn.audit.margins import Margins
from junlearn.audit.nulls import Band
from junlearn.audit.random_judge import Runs, judge_runs, judge_unlearned
from junlearn.audit.verdict import CLOSER
from junlearn.audit.yardstick import Yardstick
from junlearn.experiment.auditing import Auditing

__all__ = ["Alarms", "Cost", "coins_alarms", "cost", "drawn", "request_alarms", "table", "tally"]

LEVEL = 0.05
BOUNDS = (0.02, 0.085)
"""Of the share of p values of at most LEVEL: what 200 audits of a test that is right show."""
MEMORY = 0.5
"""By how much a network's margins of the targets that it keeps are larger, and what each adds to all of the others."""


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """What audits of a perfect unlearner said."""

    p: dict[str, np.ndarray]
    """By test, of every audit."""
    outside: dict[str, np.ndarray]
    """By test, whether the value was outside of its band."""
    verdicts: dict[str, list[str]]
    """By part."""
    values: dict[str, np.ndarray]


class Cost(NamedTuple):
    """Of the nulls and metrics of one method."""

    wall: float
    processor: float
    """Seconds of all threads."""
    memory: float
    """The largest resident set of the process, in GiB, what it held before included."""


class Plain(Yardstick):
    """A yardstick that is asked neither what would have been seen nor for intervals, which take most of the time."""

    bootstraps = 20

    def detectable(self, count: int) -> dict[str, float]:
        return {}

    def seen(self, count: int, tests: int) -> float | None:
        return None


def drawn(
    rng: np.random.Generator, networks: int, rho: float, means: Mapping[str, np.ndarray]
) -> Ensemble:
    """Networks whose margins are normal about `means` of the examples of each part, with variance 1."""
    common = rng.normal(size=(networks, 1))
    parts = {}
    for part, mean in means.items():
        own = rng.normal(size=(networks, len(mean)))
        phi = mean + math.sqrt(rho) * common + math.sqrt(1 - rho) * own
        # The label is class 0, and the other classes are as likely as each other.
        wrong = rng.integers(1, 10, phi.shape)
        parts[part] = Margins(phi, np.where(phi > 0, 0, wrong))
    return Ensemble("drawn", parts, tuple(range(networks)))


def request_alarms(
    audits: int, networks: int, examples: int, rho: float, seed: int, **settings: Any
) -> Alarms:
    """Audits of a perfect unlearner in the design "request"."""
    done = []
    for number in range(audits):
        rng = np.random.default_rng((seed, number, round(1000 * rho)))
        means = {part: rng.normal(1, 1, examples) for part in ("forget", "retain", "test")}
        sides = [drawn(rng, networks, rho, means) for _ in range(4)]
        unlearned, retrained, twin, original = sides
        labels = {part: np.zeros(examples, int) for part in means}
        auditing = Auditing(models=networks, seed=number, **settings)
        done.append(judge(Plain(retrained, twin, labels, 10, auditing, original), unlearned))
    return _alarms(done)


def coins_alarms(
    audits: int,
    runs: int,
    targets: int,
    sets: int,
    rho: float,
    seed: int,
    strangers: int | None = None,
    **settings: Any,
) -> tuple[Alarms, Alarms]:
    """Audits of runs that learnt nothing, and of perfect unlearning, in the design "random".

    `strangers`: test examples, as many as targets if not given.
    """
    before, after = [], []
    for number in range(audits):
        rng = np.random.default_rng((seed, number, round(1000 * rho)))
        auditing = Auditing(
            design="random",
            **{"models": runs // 2, "forget_sets": sets, "targets": targets, "seed": number}
            | settings,
        )
        tossed = coins.draw(np.arange(targets), runs, sets, number)
        sizes = {"forget": targets, "test": targets if strangers is None else strangers}
        means = {part: rng.normal(1, 1, size) for part, size in sizes.items()}
        folds = coins.folds(tossed, auditing.folds)
        labels = {part: np.zeros(size, int) for part, size in sizes.items()}
        fresh = drawn(rng, runs, rho, means)
        question = Runs(tossed, fresh, folds, labels, auditing)
        before.append(judge_runs(question)[0])
        unlearned = _kept(drawn(rng, runs * sets, rho, means), fresh, tossed, rng)
        after.append(judge_unlearned(question, unlearned)[0])
    return _alarms(before), _alarms(after)


def _kept(
    unlearned: Ensemble, run: Ensemble, tossed: coins.Coins, rng: np.random.Generator
) -> Ensemble:
    """Networks [S F] that share half of their variance with their run, and remember the targets that they keep."""
    part = unlearned.parts["forget"]
    shared = np.repeat(run.parts["forget"].phi, tossed.sets, axis=0)
    number = np.tile(np.arange(tossed.sets), len(tossed.included))[:, None]
    rows = np.repeat(tossed.included, tossed.sets, axis=0)
    kept = rows & (np.repeat(tossed.group, tossed.sets, axis=0) != number)
    weight = rng.normal(size=kept.shape[1]) / math.sqrt(kept.shape[1])
    phi = (part.phi + shared) / math.sqrt(2) + MEMORY * (kept + (kept @ weight)[:, None])
    return unlearned._replace(parts={**unlearned.parts, "forget": part._replace(phi=phi)})


def _outside(value: float, band: Band) -> bool:
    return not band.low <= value <= band.high


def _alarms(done: Sequence[Judgement]) -> Alarms:
    names = list(done[0].p)
    return Alarms(
        p={name: np.array([each.p[name] for each in done]) for name in names},
        outside={
            name: np.array([_outside(each.values[name], each.null[name]) for each in done])
            for name in names
        },
        verdicts={part: [each.verdict[part] for each in done] for part in done[0].verdict},
        values={name: np.array([each.values[name] for each in done]) for name in done[0].values},
    )


def cost(networks: int, examples: int, classes: int, **settings: Any) -> tuple[Cost, Any]:
    """What `compare` takes for one method with a twin, and the Audit."""
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(networks, examples, classes)).astype(np.float32) for _ in range(3)]
    labels = rng.integers(classes, size=examples)
    began = time.perf_counter(), time.process_time()
    found = audit.compare(*sides, labels=labels, **settings)
    ended = time.perf_counter(), time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Cost(ended[0] - began[0], ended[1] - began[1], memory), found


def share(flags: Iterable[bool]) -> str:
    """A share with its exact binomial interval of 95 % (Clopper and Pearson); a star where 0.05 is not in it."""
    each = np.array(list(flags), bool)
    low, high = stats.binomtest(int(each.sum()), len(each)).proportion_ci()
    star = "" if low <= LEVEL <= high else "*"
    return f"{each.mean():.3f} [{low:.3f}, {high:.3f}]{star}"


def tally(found: Mapping[str, Alarms]) -> str:
    """How many shares of p lie outside of what the audits may show, and how many intervals are without 0.05."""
    flags = [p <= LEVEL for each in found.values() for p in each.p.values()]
    shares = np.array([each.mean() for each in flags])
    apart = sum(share(each).endswith("*") for each in flags)
    beyond = int(np.sum((shares < BOUNDS[0]) | (shares > BOUNDS[1])))
    return f"{len(flags)} shares: {beyond} outside of {BOUNDS}, {apart} intervals without {LEVEL}"


def table(found: Mapping[str, Alarms]) -> str:
    """Of every test the share of p values of at most 0.05 and of values outside of the band, by column."""
    header = ["test", *(f"{what}, {name}" for what in ("p", "band") for name in found)]
    names = list(next(iter(found.values())).p)
    rows = []
    for name in names:
        # A rate that one design reaches another may not.
        p = [share(each.p[name] <= LEVEL) if name in each.p else "" for each in found.values()]
        outside = [share(each.outside[name]) if name in each.p else "" for each in found.values()]
        rows.append([f"`{name}`", *p, *outside])
    for part in next(iter(found.values())).verdicts:
        for text, what in (("distinguishable", "distinguishable"), (CLOSER, "closer")):
            shares = [
                share(said.startswith(text) for said in each.verdicts[part])
                for each in found.values()
            ]
            rows.append([f"verdict, {part}: {what}", *shares, *[""] * len(found)])
    return markdown(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="audits of networks of a known law")
    parser.add_argument("what", choices=["alarms", "coins", "speed"])
    parser.add_argument("--audits", type=int, default=200)
    parser.add_argument("--networks", type=int, default=32, help="a side; of coins: runs")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--strangers", type=int, default=None, help="test examples of coins")
    parser.add_argument("--rho", type=float, nargs="+", default=[0.0, 0.05, 0.2])
    parser.add_argument("--sets", type=int, nargs="+", default=[1, 2], help="forget sets of a run")
    parser.add_argument("--metrics", nargs="+", default=None)
    parser.add_argument("--permutations", type=int, default=39)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.process_time()
    print_machine(len(os.sched_getaffinity(0)))
    settings = {"permutations": given.permutations, "splits": given.splits}
    if given.metrics is not None:
        settings["metrics"] = tuple(given.metrics)
    many = (given.audits, given.networks, given.examples)
    if given.what == "alarms":
        found = {
            f"rho {rho:g}": request_alarms(*many, rho, given.seed, **settings) for rho in given.rho
        }
        print(f"\n{table(found)}\n\n{tally(found)}")
    elif given.what == "coins":
        runs, rho = {}, given.rho[0]
        for sets in given.sets:
            before, after = coins_alarms(
                *many, sets, rho, given.seed, strangers=given.strangers, **settings
            )
            runs |= {f"F = {sets}, before": before, f"F = {sets}, after": after}
        for when in ("before", "after"):
            chosen = {name: each for name, each in runs.items() if name.endswith(when)}
            if all(each.p for each in chosen.values()):
                print(f"\n{table(chosen)}\n\n{tally(chosen)}")
    else:
        one, audited = cost(given.networks, given.examples, 10)
        print(
            f"\nwall {one.wall:.1f} s, processor {one.processor:.1f} s, memory {one.memory:.2f} GiB"
        )
        print({row["method"]: row["seconds"] for row in audited.rows})
    print(f"\n{time.process_time() - began:.0f} s of the processor")


if __name__ == "__main__":
    main()
