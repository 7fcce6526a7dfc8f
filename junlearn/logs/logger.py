"""What a logger is told, and what it has to have for that."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

__all__ = ["Backend", "Epoch", "Logger", "Network", "epoch_of", "epochs", "named"]

OF_AN_ENTRY = ("stage", "epoch", "steps")
"""What an entry of a history holds beside its metrics."""
NUMBER = "/epoch"
"""How the name of the value ends that says which epoch of a stage it was."""


class Logger(Protocol):
    """An object of the user's own, as `junlearn.train(..., log=...)` takes it."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take note of an epoch that has just ended.

        `values` are the means of every metric over the steps of the epoch, by `STAGE/METRIC`, and `STAGE/epoch`, the
        number of the epoch in its stage, from 0 on. `step` counts the steps since the run began, over all stages.
        """


class Epoch(NamedTuple):
    """An epoch of a stage that has ended."""

    stage: str
    number: int
    """Of the epoch in its stage, from 0 on."""
    step: int
    """Steps since the network's run began, over all stages."""
    values: dict[str, float]
    """Mean of every metric."""


class Network(NamedTuple):
    """A network of a run."""

    name: str
    """Label of its method, or its role; after a request of a stream with the number of the request."""
    config_hash: str
    """That of its record."""


class Backend(Protocol):
    """Where the command line logs to. Nothing is opened before there is something to write, and nothing that is there
    already is written again: a run that goes on tells all of it once more.
    """

    def epoch(self, network: Network, epoch: Epoch) -> None:
        """Take note of an epoch."""

    def finished(
        self, network: Network, settings: Mapping[str, Any], values: Mapping[str, float], step: int
    ) -> None:
        """Take note of the hyper-parameters of a network that was judged, and of its metrics and seconds."""

    def pictures(self, paths: Sequence[Path]) -> None:
        """Take the PNG files among these, which were drawn of the run."""

    def close(self, failed: bool) -> None:
        """End; `failed`: the run did not come to its end."""


def epochs(history: Sequence[Mapping[str, Any]]) -> list[Epoch]:
    """The epochs of `junlearn.engine.run.Result.history`."""
    found, step = [], 0
    for entry in history:
        step += entry["steps"]
        values = {name: value for name, value in entry.items() if name not in OF_AN_ENTRY}
        found.append(Epoch(entry["stage"], entry["epoch"], step, values))
    return found


def named(epoch: Epoch) -> dict[str, float]:
    """What `Logger.log` gets as its values."""
    own = {f"{epoch.stage}/{name}": value for name, value in epoch.values.items()}
    return {f"{epoch.stage}{NUMBER}": epoch.number, **own}


def epoch_of(values: Mapping[str, float], step: int) -> Epoch:
    """The epoch that `Logger.log` was told of: what `named` made of it stands first."""
    first = next(iter(values))
    stage = first.removesuffix(NUMBER)
    own = {n.removeprefix(f"{stage}/"): value for n, value in values.items() if n != first}
    return Epoch(stage, int(values[first]), step, own)
