"""What came of a search: the trials of each method, and the best of them."""

import statistics
from typing import Any, Literal, NamedTuple

from junlearn.metrics.directions import Direction
from junlearn.search.objectives import Objective
from junlearn.types import Space

__all__ = ["Found", "Method", "State", "Tried"]

State = Literal["finished", "pruned", "failed", "running"]


class Tried(NamedTuple):
    """One trial."""

    number: int
    """From 1 on."""
    settings: dict[str, Any]
    """What was tried, by field."""
    state: State
    """pruned: stopped between two seeds; failed: the method diverged, or did not run."""
    values: list[float]
    """The objective with each seed."""
    parts: dict[str, float]
    """What the objective is the mean of, by name, means over the seeds."""
    seconds: float
    """What it took, all of it: reading, compilation, training and metrics."""
    error: str = ""
    """In one line, why it failed."""

    @property
    def value(self) -> float:
        """The mean over the seeds; NaN where there is none."""
        return statistics.fmean(self.values) if self.values else float("nan")

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over the seeds; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


class Method(NamedTuple):
    """The trials of one method."""

    label: str
    space: Space
    better: Direction
    trials: list[Tried]
    importance: dict[str, float]
    """The share of each field in what the trials differ by; empty where there are too few."""
    given: dict[str, Any]
    """The settings that the configuration has, by the fields that are searched."""

    @property
    def best(self) -> Tried | None:
        """The finished trial with the best value, the first of equals; None where none finished."""
        done = [trial for trial in self.trials if trial.state == "finished"]
        sign = 1 if self.better == "min" else -1
        return min(done, key=lambda trial: sign * trial.value, default=None)

    def count(self, state: State) -> int:
        """How many of its trials ended so."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def seconds(self) -> float:
        """What its trials took together."""
        return sum(trial.seconds for trial in self.trials)


class Found(NamedTuple):
    """What came of a search."""

    objective: Objective
    share: float
    """Of the training set, that the trials held out."""
    seeds: tuple[int, ...]
    wanted: int
    """Trials of each method."""
    methods: list[Method]
