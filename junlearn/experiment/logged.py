"""What the loggers of a run are told of an experiment: its networks by the names and hashes of their records."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from junlearn.engine import processes
from junlearn.experiment import records
from junlearn.experiment.identity import Identity, record_hash
from junlearn.experiment.progress import Reporter
from junlearn.experiment.records import Record
from junlearn.experiment.resolved import Resolved
from junlearn.experiment.schema import digest, plain
from junlearn.experiment.setup import Setup
from junlearn.logs import run_log
from junlearn.logs.choices import Where, make
from junlearn.logs.logger import Logger, Network
from junlearn.logs.run_log import RunLog

__all__ = ["FOLDER", "following", "opened", "tell"]

FOLDER = "logs"
"""Of the loggers' files, below the directory of a run."""


@contextmanager
def opened(
    experiment: Resolved, workdir: Path, reporter: Reporter, group: str | None = None
) -> Iterator[RunLog]:
    """The loggers that an experiment in `workdir` asks for; `group` is the sweep that it is of.

    The first process alone has them. Raises ConfigError, in all processes, where a package is missing in one.
    """
    numbers = {name: value for name, value in plain(experiment).items() if name != "loop"}
    place = str(workdir.resolve())
    where = Where(workdir / FOLDER, digest([place, numbers]), workdir.resolve().name, group)
    backends = processes.together(lambda: make(experiment.loop.log, where))
    with run_log.opened(backends if processes.is_first() else {}, reporter.say) as log:
        yield log


def following(
    log: RunLog, setup: Setup, label: str, network: Identity, reference: Identity | None
) -> list[Logger]:
    """Who is told of the epochs of a network that is about to be trained; `reference`: the retrained one, if any."""
    if not log:
        return []
    config_hash = record_hash(setup, network, reference)
    return [log.following(Network(_name(label, setup.number), config_hash))]


def tell(log: RunLog, record: Record) -> None:
    """Tell of a network that was judged: its settings, metrics, seconds, and all of its epochs.

    Of a network that was read back, or shares its stages with another one, no epoch was told while it was trained.
    """
    if log:
        name = _name(record["method"], records.number_of(record))
        # How a run is carried out is no hyper-parameter.
        settings = {k: v for k, v in records.settings(record).items() if not k.startswith("loop/")}
        seconds = {f"seconds/{part}": value for part, value in record["seconds"].items()}
        log.network(
            Network(name, record["config_hash"]),
            record["history"],
            settings,
            record["metrics"] | seconds,
        )


def _name(label: str, number: int) -> str:
    """A network in words; after request `number` of a stream."""
    return f"{label}_request_{number}" if number else label
