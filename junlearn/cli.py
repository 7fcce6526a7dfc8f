"""From command-line arguments to an experiment: the table of a file, changed by options, filled into its schema."""

import argparse
import contextlib
import dataclasses
import io
import logging
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import tyro

from junlearn.commands import codes
from junlearn.commands.arguments import (
    PROGRAM,
    Parser,
    configuration,
    fresh,
    loggers,
    path,
    plot_format,
    plugin,
    text,
)
from junlearn.errors import ConfigError, short, unknown
from junlearn.experiment import schema, sections, sweep
from junlearn.files import writers

__all__ = [
    "changed",
    "default_workdir",
    "driver_options",
    "experiment",
    "full_name",
    "keep_compilations",
    "split_arguments",
    "sweep_workdir",
    "with_loggers",
    "with_plugins",
]

log = logging.getLogger(__name__)

NAMED = (*schema.COMPONENTS, *schema.OPTIONAL)
"""Sections whose name can be chosen on the command line."""


def split_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What must be known before the other options can be: files, directories and the names of components.

    Raises ConfigError.
    """
    parser = Parser(prog=PROGRAM, add_help=False)
    parser.add_argument("--config", type=configuration)
    parser.add_argument("--workdir", type=text)
    parser.add_argument("--cache-dir", "--cache_dir", type=text)
    parser.add_argument("--plot", action="store_true")
    plot_format(parser)
    parser.add_argument("--table", type=path, action="append", default=[])
    plugin(parser)
    fresh(parser)
    loggers(parser)
    for kind in NAMED:
        parser.add_argument(f"--{kind}.name", type=text)
    parser.add_argument("--methods", nargs="+", type=text)
    options, rest = parser.parse_known_args(arguments)
    # Who says how they are written wants pictures.
    if options.plot and not options.plot_format:
        options.plot_format = ["png"]
    if "--" in arguments:
        raise ConfigError("unexpected argument '--'")
    given = [_option(argument) for argument in rest if argument.startswith("--")]
    for name in given:
        if given.count(name) > 1:
            raise ConfigError(f"{name} stands twice")
    return options, rest


def _option(argument: str) -> str:
    """The name of an option, whichever way it is written."""
    return argument.partition("=")[0].replace("_", "-")


def experiment(
    options: argparse.Namespace, rest: list[str], description: str = "", optional: str = ""
) -> Any:
    """The experiment of a configuration file with the command line's changes. Raises ConfigError.

    It has the section `optional`, also where the file has none. With `--help` among them it prints `description` above
    the options of this configuration, and exits.
    """
    if options.config is None:
        table = schema.read(Path(str(files("junlearn") / "first_run.toml")))
    else:
        table = schema.read(options.config)
    if "sweep" in table:
        raise ConfigError(
            f"configuration {options.config} has a table [sweep], so it is a grid of experiments and not one: "
            f"python -m junlearn.main sweep --config {options.config} reads it"
        )
    table = _short_method(table)
    table = with_loggers(with_plugins(table, options.plugin), options.log)
    if optional:
        table.setdefault(optional, {})
    for kind in NAMED:
        name = getattr(options, f"{kind}.name")
        section = schema.table_of(kind, table.get(kind, {}))
        if name is not None and section.get("name") != name:
            table[kind] = {"name": name}
    if options.methods is not None:
        table["methods"] = options.methods
        own = schema.table_of("method", table.get("method", {}))
        table["method"] = {label: own[label] for label in options.methods if label in own}
    table, rest = codes.taken(table, rest)
    return changed(schema.parse(table), rest, description, driver_options(options))


def changed(
    start: Any, arguments: Sequence[str], description: str = "", driver: Sequence[str] = ()
) -> Any:
    """The experiment `start` with the options in `arguments`. Raises ConfigError.

    `driver` are the options beside those of the schema that a misspelt one can have meant.
    """
    arguments = [full_name(start, argument) for argument in arguments]
    found = _tyro(start, arguments, description, [*driver, "--seeds", "--help", "--version"])
    return schema.parse(schema.plain(found))


def driver_options(options: argparse.Namespace) -> list[str]:
    """The options that say what is done with an experiment, and are no fields of it."""
    return [f"--{name.replace('_', '-')}" for name in vars(options)]


def full_name(start: Any, argument: str) -> str:
    """An option with the label of the method, which may be left out where there is only one."""
    if len(start.methods) != 1 or argument.startswith(f"--method.{start.methods[0]}."):
        return argument
    return re.sub(r"^--method\.", f"--method.{start.methods[0]}.", argument)


def with_loggers(table: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """`table` with these loggers in the place of its own, where there are any."""
    if not names:
        return table
    return table | {"loop": {**schema.table_of("loop", table.get("loop", {})), "log": [*names]}}


def with_plugins(table: dict[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """`table` with these files among its plug-ins, whose names can be used from here on. Raises ConfigError."""
    if not files:
        return table
    given = table.get("plugins", [])
    more = [file for file in map(os.path.abspath, files) if file not in given]
    table = table | {"plugins": [*given, *more]}
    sections.take_plugins(table)
    return table


def default_workdir(file: Path | None, experiment: Any) -> Path:
    """`runs/FOLDER_FILE` of the configuration file, `runs/DATASET_SCENARIO` without one, below the current directory.

    Files of one name in several folders (`mnist_class.toml` of each paper) are different recipes.
    """
    if file is None:
        return Path("runs", f"{experiment.dataset.name}_{experiment.scenario.name}")
    whole = Path(os.path.abspath(file))
    return Path("runs", f"{whole.parent.name}_{whole.stem}")


def sweep_workdir(file: Path, points: Sequence[sweep.Point]) -> Path:
    """`runs/FOLDER_FILE`, as of a run; `runs/FILE`, as it was once, where this sweep was begun there and not here."""
    now, once = default_workdir(file, None), Path("runs", file.stem)
    begun = not now.exists() and any(sweep.done(point, once, lambda line: None) for point in points)
    return once if begun else now


def keep_compilations(cache_dir: str | None) -> None:
    """Keep traced and compiled programs below the cache directory, so that the next run starts at once.

    With JAX_COMPILATION_CACHE_DIR they are in a folder of their own there. Programs run as they are found: a directory
    that others may write is not used, and a line says so.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    from junlearn.datasets.cache import dataset_cache_dir
    from junlearn.engine import compilations, traces

    named = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    shared = dataset_cache_dir(cache_dir).parent / "compiled"
    directory = Path(named) / "junlearn" if named else shared
    remedy = writers(directory)
    if remedy is None:
        compilations.keep(directory, seconds=0.0)
        traces.keep(directory)
        return
    log.warning(
        "compiled programs are not kept in %s, as others may change what runs: "
        "chown %s %s and chmod go-w on it, or choose another --cache-dir",
        *(directory, os.geteuid(), remedy),
    )
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", None)
    traces.keep(None)


def _short_method(table: dict[str, Any]) -> dict[str, Any]:
    """`[method]` with the fields themselves, where there is only one method, as `[method.LABEL]`."""
    labels, section = table.get("methods"), table.get("method", {})
    bare = isinstance(section, Mapping) and any(
        not isinstance(v, Mapping) for v in section.values()
    )
    if bare and isinstance(labels, list) and len(labels) == 1 and isinstance(labels[0], str):
        return {**table, "method": {labels[0]: section}}
    return dict(table)


def _tyro(start: Any, arguments: list[str], description: str, driver: list[str]) -> Any:
    """`start` with the options in `arguments`; every mistake in them is a ConfigError of one line.

    `driver` are the options beside those of the schema that a misspelt one can have meant.
    """
    if not arguments:
        return start
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            changed, unparsed = tyro.cli(
                type(start),
                prog="python -m junlearn.main",
                description=description,
                args=arguments,
                default=start,
                return_unknown_args=True,
                config=(tyro.conf.FlagConversionOff, tyro.conf.AvoidSubcommands),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ConfigError(_one_line(complaint.getvalue())) from None
    if unparsed and not unparsed[0].startswith("-"):
        raise ConfigError(f"unexpected argument {short(unparsed[0])}")
    if unparsed:
        raise unknown("option", unparsed[0].split("=")[0], {*driver, *_options(type(start))})
    return changed


def _one_line(box: str) -> str:
    """The message in one of tyro's boxes (of lines, or of dashes where a terminal has none): no frame, title, help."""
    lines = [line.strip(" │╭╰╮╯") for line in box.splitlines()]
    parts: list[list[str]] = [[]]
    for line in lines[1:]:
        if re.match("─{2}|-{4}", line):
            parts.append([])
        elif line:
            parts[-1].append(line)
    return " ".join(next((part for part in parts if part), lines))


def _options(cls: type, prefix: str = "--") -> list[str]:
    """Every option that the schema has."""
    names = []
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(item.type):
            names += _options(item.type, f"{prefix}{item.name}.")  # type: ignore[arg-type]
        else:
            names.append(f"{prefix}{item.name.replace('_', '-')}")
    return names
