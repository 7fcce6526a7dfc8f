"""Ask a method of your own what every method must do, on tiny problems.

It needs no data and leaves nothing behind. Exit status: 0 where all checks pass
or do not apply, 1 where one fails.
"""

import argparse
import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from junlearn.commands.arguments import PROGRAM, Parser, text
from junlearn.errors import ConfigError, unknown
from junlearn.text.terminal import Terminal, printable

__all__ = ["command", "parser"]

EXAMPLES = """examples:
  python -m junlearn.main check my_method.py
  python -m junlearn.main check my_package.my_method --set epochs=1
  python -m junlearn.main check finetune --json

The checks are those of junlearn.testing, which pytest can run one by one."""
WORDS = {True: "ok", False: "failed", None: "not applicable"}


def command(arguments: list[str]) -> int:
    """Carry out `check`; returns the exit status. Raises ConfigError for what is no method."""
    options = parser().parse_args(arguments)
    method = _method(options.method)
    from junlearn.testing import checking

    config = _config(options.method, method, options.set)
    console = Terminal()
    table = _table(options.method)
    if options.json:
        verdicts = checking.check(method, config)
        print(json.dumps([_row(verdict) for verdict in verdicts], indent=2))
    else:
        with console.status("") as status:
            verdicts = checking.check(
                method,
                config,
                tell=lambda verdict: status.update(f"{verdict.name}: {WORDS[verdict.passed]}"),
            )
        for verdict in verdicts:
            table.add_row(verdict.name, WORDS[verdict.passed], verdict.detail)
        console.print(table)
        failed = sum(verdict.passed is False for verdict in verdicts)
        seconds = sum(verdict.seconds for verdict in verdicts)
        told = f"{failed} of {len(verdicts)} checks failed" if failed else "no check failed"
        console.print(f"{told}, {seconds:.0f} s")
    return int(any(verdict.passed is False for verdict in verdicts))


def parser() -> Parser:
    """Of the command."""
    parser = Parser(prog=f"{PROGRAM} check", description=__doc__, epilog=EXAMPLES)
    add = parser.add_argument
    add(
        "method",
        type=text,
        metavar="METHOD",
        help="a Python file, a module by its dotted name, or a registered method",
    )
    add(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="FIELD=VALUE",
        help="a field of the method's Config, in the place of its quick setting; can stand several times",
    )
    add("--json", action="store_true", help="a list of JSON objects, for programs")
    return parser


def _setting(argument: str) -> tuple[str, Any]:
    """A field and its value, which is read as TOML; what TOML does not know is text."""
    name, equals, value = argument.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected FIELD=VALUE, got {argument!r}")
    try:
        return name.replace("-", "_"), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.replace("-", "_"), value


def _method(name: str) -> Any:
    """The method in a file, in a module, or of a registered name. Raises ConfigError where there is none."""
    from junlearn.plugins import registry
    from junlearn.plugins.loading import load_file, load_module
    from junlearn.testing.subject import missing

    if registry.is_known("method", name):
        return registry.find("method", name)
    if name.endswith(".py") or "/" in name or Path(name).is_file():
        found = load_file(Path(name))
    elif "." in name:
        found = load_module(name)
    else:
        raise unknown("method", name, registry.names("method"))
    if lacks := missing(found):
        raise ConfigError(f"{name} is no method: it lacks {lacks}")
    return found


def _config(name: str, method: Any, settings: list[tuple[str, Any]]) -> Any:
    """The quick Config of a method with these fields, and those that a preset of this name sets; None: without any.

    Raises ConfigError for a field or a value that is not allowed.
    """
    from junlearn.experiment.conversion import convert
    from junlearn.plugins import registry
    from junlearn.testing.limits import quick

    table = {**registry.preset(name), **dict(settings)}
    cls: type = method.Config
    if not table or not dataclasses.is_dataclass(cls):
        return None
    try:
        given = convert(cls, table)
    except ConfigError as error:
        raise ConfigError(f"--set: {error}") from error
    return quick(cls, **{name: getattr(given, name) for name in table})


def _table(title: str) -> Table:
    table = Table(box=box.SIMPLE, title=printable(title), title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("what is wrong", overflow="fold")
    return table


def _row(verdict: Any) -> dict[str, Any]:
    return {
        "check": verdict.name,
        "passed": verdict.passed,
        "detail": verdict.detail,
        "seconds": round(verdict.seconds, 3),
    }
