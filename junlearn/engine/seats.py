"""Who sits where in a program of many models, and what each place is fed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import jax
import numpy as np

from junlearn.engine.abreast import Row
from junlearn.engine.batches import Keys, specify
from junlearn.types import PyTree, Stage

__all__ = ["Job", "Seat", "history", "line", "named", "seated", "window"]


class Seat(NamedTuple):
    """A place in a program."""

    model: int
    """The number of the model that is there."""
    real: bool
    """False: the model is there for the shape alone, and makes no step."""


class Job:
    """A chunk in training."""

    def __init__(self, seats: list[Seat], plans: Mapping[int, list], how: str) -> None:
        """`plans` are the stages of its models, by number."""
        self.seats, self.plans, self.how = seats, plans, how
        self.took = 0.0
        self.state: PyTree = None
        self.keys: Keys
        self.seen: list[tuple[Row, dict[str, np.ndarray]]] = []
        self.diverged: dict[int, str] = {}
        """By place: the line of the first number that is not finite."""

    @property
    def places(self) -> dict[int, int]:
        """Where its models are: place -> number."""
        return {place: seat.model for place, seat in enumerate(self.seats) if seat.real}


def seated(lists: Sequence[Sequence[int]], each: int, devices: int) -> list[Seat]:
    """`each` places on each of the devices: list d is on device d, its last model repeated until its places are full.

    A device without a list has the last model of all.
    """
    seats = []
    for own in [*lists, *[()] * (devices - len(lists))]:
        stand_in = Seat((own or lists[-1])[-1], False)
        seats += [Seat(model, True) for model in own] + [stand_in] * (each - len(own))
    return seats


def named(seats: Sequence[Seat]) -> str:
    """The models in words."""
    models = [seat.model for seat in seats if seat.real]
    return f"model {models[0]}" if len(models) == 1 else f"models {models[0]} to {models[-1]}"


def line(stages: Sequence[Stage], seed: int, real: bool = True) -> Iterator[Row]:
    """The steps of a model in the driver's order of the data, then its last row for ever, inactive.

    Of a model that is not `real` all rows are inactive.
    """
    for number, stage in enumerate(stages):
        for epoch in range(stage.epochs):
            # The feed of supervised training does not look at the state.
            rows = specify(stage.feed(np.random.default_rng((seed, number, epoch)), None))[1]
            for step in range(len(rows[0][0])):
                fed = [tuple(array[step] for array in feed) for feed in rows]
                row = Row(fed, np.int32(number), np.int32(epoch), np.int32(step), real)
                yield row
    while True:
        yield row._replace(active=False)


def window(lines: Sequence[Iterator[Row]], steps: int) -> Row:
    """The next `steps` rows of every line, [W,C]."""
    columns = [jax.tree.map(lambda *a: np.stack(a), *islice(line, steps)) for line in lines]
    return jax.tree.map(lambda *a: np.stack(a, axis=1), *columns)


def history(
    plan: Sequence[Stage], place: int, rows: Row, metrics: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """One entry an epoch, as the driver makes it."""
    entries = []
    for s, stage in enumerate(plan):
        for epoch in range(stage.epochs):
            here = (rows.stage[:, place] == s) & (rows.epoch[:, place] == epoch)
            here &= rows.active[:, place]
            means = {
                name: float(values[here, place].sum(dtype=np.float64) / here.sum())
                for name, values in metrics.items()
            }
            entries.append({"stage": stage.name, "epoch": epoch, "steps": int(here.sum()), **means})
    return entries
