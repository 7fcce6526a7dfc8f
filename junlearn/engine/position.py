"""How far a run has come: what a snapshot holds beside the state of the method."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from junlearn.engine.checkpoint import Store
from junlearn.errors import CheckpointError

__all__ = ["Position", "read_position"]


@dataclass
class Position:
    """How far a run has come: what a snapshot holds beside the state."""

    stage: int = 0
    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the metrics over the steps of the current epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: {"compile": 0.0, "run": 0.0, "evaluate": 0.0, "total": 0.0}
    )
    stages: dict[str, float] = field(default_factory=dict)

    def add(self, metrics: dict[str, np.ndarray], count: int) -> None:
        """Account for `count` steps with one value each of every metric."""
        self.step += count
        for name, values in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(values.sum(dtype=np.float64))

    def close_epoch(self, stage: str) -> None:
        """Turn the sums into an entry of the history and go to the next epoch."""
        means = {name: total / self.step for name, total in self.sums.items()}
        self.history.append({"stage": stage, "epoch": self.epoch, "steps": self.step, **means})
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}


def read_position(content: dict[str, Any], store: Store) -> Position:
    """The position that a snapshot holds. Raises CheckpointError where it is none."""
    start = asdict(Position())
    kinds = {name: type(value) for name, value in content.items()}
    if kinds != {name: type(value) for name, value in start.items()}:
        raise CheckpointError(
            f"a checkpoint in {store.directory} does not say how far its run had come: delete this folder to go on "
            "without it"
        )
    return Position(**content)
