"""Arguments of commands: one parser for all, whose mistakes are one line as every other, and types for its options."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from junlearn.errors import ConfigError, unknown
from junlearn.experiment import shipped
from junlearn.experiment.sharding import Shard, shard_of

__all__ = [
    "PROGRAM",
    "Parser",
    "configuration",
    "fresh",
    "loggers",
    "not_logged",
    "path",
    "plot_format",
    "plugin",
    "power",
    "shard",
    "text",
]

PROGRAM = "python -m junlearn.main"
"""How it is called in help and messages."""


class Parser(argparse.ArgumentParser):
    """argparse, but for mistakes: they raise ConfigError with the command, the argument and what it may have meant."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        own: dict[str, Any] = {"formatter_class": _Formatter, "allow_abbrev": False}
        super().__init__(*arguments, **(own | options))

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError in the place of printing the usage."""
        command = self.prog.removeprefix(PROGRAM).strip()
        raise ConfigError(f"{command}: {message}" if command else message)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse does; what is left over names what it can have meant. Raises ConfigError."""
        found, rest = self.parse_known_args(args, namespace)
        for argument in rest:
            if argument.startswith("-"):
                known = [name for name in self._option_string_actions if name.startswith("--")]
                error = unknown("option", argument.partition("=")[0], known)
                self.error(f"unrecognized arguments: {' '.join(rest)} ({error})")
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does. Raises ConfigError for an option that stands twice and takes one value."""
        given = [str(argument).partition("=")[0] for argument in args or ()]
        for action in self._actions:
            single = not isinstance(action, argparse._AppendAction | argparse._HelpAction)
            if single and sum(given.count(name) for name in action.option_strings) > 1:
                self.error(f"{action.option_strings[0]} stands twice")
        return super().parse_known_args(args, namespace)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": 26, "width": 80} | options)


def fresh(parser: argparse.ArgumentParser) -> None:
    """Add `--fresh`, which a run and a sweep have."""
    parser.add_argument(
        "--fresh",
        nargs="?",
        choices=("all", "changed"),
        const="all",
        default="nothing",
        help="make all networks and records anew, or (changed) those of other versions, code or devices",
    )


def loggers(parser: argparse.ArgumentParser) -> None:
    """Add `--log`, the short form of `--loop.log`, which a run and a sweep have."""
    parser.add_argument(
        "--log",
        nargs="+",
        default=[],
        type=text,
        metavar="LOGGER",
        help="log every epoch and the results: csv, tensorboard, wandb, one or several",
    )


def not_logged(command: str, options: argparse.Namespace) -> None:
    """Raise ConfigError for `--log` at a command that passes the options of a run on, and logs nothing."""
    if options.log:
        raise ConfigError(f"{command}: --log has no place here; a run and a sweep are logged")


def plugin(parser: argparse.ArgumentParser) -> None:
    """Add `--plugin`, which commands that read names have."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        type=text,
        metavar="FILE",
        help="a Python file with methods, models, datasets, scenarios or metrics of one's own, to be used by name",
    )


def plot_format(parser: argparse.ArgumentParser) -> None:
    """Add `--plot-format`, which commands that draw have."""
    parser.add_argument(
        "--plot-format",
        nargs="+",
        choices=("png", "svg", "pdf"),
        default=[],
        metavar="FORMAT",
        help="write pictures as png, svg or pdf, one or several (default: png)",
    )


def text(value: str) -> str:
    """An argument that is not empty."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty")
    if "\0" in value:
        raise argparse.ArgumentTypeError("it holds a NUL character")
    return value


def path(value: str) -> Path:
    """The name of a file or folder, which is not empty."""
    return Path(text(value))


def shard(value: str) -> Shard:
    """One of several jobs, `I/N`."""
    try:
        return shard_of(value)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def configuration(value: str) -> Path:
    """A configuration by the path of its file, or by its name if it comes with the package."""
    try:
        return shipped.find(path(value))
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def power(value: str) -> float:
    """A finite number above zero."""
    number = float(value)
    if not math.isfinite(number) or number <= 0:
        raise argparse.ArgumentTypeError(f"expected a finite number > 0, got {value!r}")
    return number
