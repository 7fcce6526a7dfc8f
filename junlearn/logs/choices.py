"""The loggers that the command line has by name."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from junlearn.errors import ConfigError, unknown
from junlearn.logs.csv_log import CsvLog
from junlearn.logs.logger import Backend
from junlearn.logs.tensorboard import TensorBoardLog
from junlearn.logs.wandb_log import WandbLog

__all__ = ["LOGGERS", "Where", "check", "make"]


class Where(NamedTuple):
    """What a logger knows of the run."""

    directory: Path
    """`logs` below that of the run."""
    identity: str
    """The run's own: the same when the same command goes on in the same directory."""
    title: str
    group: str | None
    """The sweep that the run is of."""


class Choice(NamedTuple):
    """A logger that can be asked for."""

    make: Callable[[Where], Backend]
    package: str | None
    """What it needs, which the extra of the logger's own name installs."""


LOGGERS = {
    "csv": Choice(lambda where: CsvLog(where.directory), None),
    "tensorboard": Choice(lambda at: TensorBoardLog(at.directory / "tensorboard"), "tensorboardX"),
    "wandb": Choice(lambda where: WandbLog(*where), "wandb"),
}


def check(names: Iterable[str]) -> None:
    """Raise ConfigError for a logger that does not exist."""
    for name in names:
        if name not in LOGGERS:
            raise unknown("logger", name, LOGGERS)


def make(names: Iterable[str], where: Where) -> dict[str, Backend]:
    """The loggers by their names; nothing is opened yet. Raises ConfigError where what one needs is not installed."""
    for name in names:
        package = LOGGERS[name].package
        if package is not None and find_spec(package) is None:
            raise ConfigError(
                f"the logger {name} needs {package}: python -m pip install 'junlearn[{name}]'"
            )
    return {name: LOGGERS[name].make(where) for name in names}
