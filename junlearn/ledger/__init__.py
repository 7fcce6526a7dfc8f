"""Deletion requests as they come: a ledger keeps one current network, and a chained line on everything that made it.

Read `chain` first, the file of lines, then `standing`, what they add up to, then `deletion`, one request. The command
`ledger` and `open` below are the doors. This room knows the experiment, and is known by reports and the faces alone.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from junlearn.experiment.progress import Reporter
from junlearn.ledger import chain, deletion, network_archive
from junlearn.ledger.chain import Line
from junlearn.ledger.deletion import Wishes
from junlearn.ledger.scene import load, models_of
from junlearn.ledger.standing import standing_of
from junlearn.ledger.statement import facts, status
from junlearn.ledger.verification import verify
from junlearn.scenarios.naming import By, finder
from junlearn.types import Dataset, Model, Variables

__all__ = ["Current", "Ledger", "facts", "open", "status", "verify"]


class Current(NamedTuple):
    """The network that is in use."""

    model: Model
    variables: Variables


class Ledger(NamedTuple):
    """A ledger on disk. Nothing of it is kept in memory: every call reads what is there."""

    directory: Path
    cache_dir: str | None = None
    reporter: Reporter = Reporter(Console(quiet=True))

    def forget(
        self,
        ids: Iterable[Any],
        by: By = "id",
        *,
        private: bool = False,
        with_twins: bool = False,
        skip_known: bool = False,
    ) -> Line:
        """Delete the examples that `ids` names (or rows, with `by="row"`), and return the line that says so.

        The keywords are those of `deletion.Wishes`. Raises ConfigError for a request that is refused, DamagedError for
        a ledger that is not as it was written.
        """
        given = [str(one) for one in ids]

        def rows(dataset: Dataset) -> list[int]:
            find = finder(by, dataset)
            return [find(one) for one in given]

        wishes = Wishes(private=private, with_twins=with_twins, skip_known=skip_known)
        done = deletion.forget(self.directory, rows, wishes, self.cache_dir, self.reporter)
        assert done is not None
        return done

    def current(self) -> Current:
        """The network in use, checked against its hash; the data are not read."""
        standing = standing_of(self.directory, chain.read(self.directory).lines)
        data = standing.first["dataset"]
        experiment = load(self.directory, standing.first["config"])
        height, width, channels = data["input_shape"]
        shape = (height, width, channels)
        _, model = models_of(experiment, len(data["classes"]), shape)
        like = jax.eval_shape(
            model.init,
            jax.random.key(0),
            jax.ShapeDtypeStruct((1, *(model.input_shape or shape)), jax.numpy.float32),
        )
        return Current(model, network_archive.load(self.directory, standing.current, like))

    def status(self) -> dict[str, Any]:
        """Where it stands."""
        return status(self.directory)

    def verify(self) -> dict[str, Any]:
        """What was checked. Raises DamagedError with the first line that does not fit."""
        return verify(self.directory)


def open(  # the name that a file has
    directory: str | os.PathLike[str],
    *,
    cache_dir: str | None = None,
    reporter: Reporter | None = None,
) -> Ledger:
    """The ledger in a directory, which `ledger init` has begun. Raises ConfigError or DamagedError as reading does."""
    ledger = Ledger(Path(directory), cache_dir, reporter or Reporter(Console(quiet=True)))
    chain.read(ledger.directory)
    return ledger
