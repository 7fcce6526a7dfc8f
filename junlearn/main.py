"""The command line: parsing and calls only. `--help` shows it; the arguments are in `junlearn.commands.parsers`.

Exit status: 0 success, 2 a mistake in usage, configuration or files (one line on stderr), 1 a failure while running,
130, 143 or 129 when SIGINT (Ctrl-C), SIGTERM or SIGHUP ended it (a run that is training saves first, and the same
command goes on there; a second signal ends it at once), 141 when whoever read its output was gone.
A method that fails does not keep the others from running: they are in the table, it is named on stderr.
"""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    from junlearn.engine import interrupts
    from junlearn.text import terminal

    with interrupts.handled():
        try:
            terminal.open_streams()
            with terminal.logging_lines():
                status = _command(list(sys.argv[1:] if argv is None else argv))
            terminal.flush()
        except BrokenPipeError:
            terminal.silence_output()
            return 128 + signal.SIGPIPE
        except OSError as error:
            status = _complain(error)
            # What could not be written would be tried again at the end.
            terminal.silence_output()
            return status
        except BaseException as error:
            # Libraries can turn what a signal raised within them into errors of their own.
            stopped = interrupts.behind(error)
            if stopped is None:
                raise
            terminal.silence_output()
            terminal.complain(str(stopped))
            return stopped.status
        return status


def _command(arguments: list[str]) -> int:
    from junlearn.errors import DivergedError, JunlearnError, unknown

    commands = {
        "cache": _cache,
        "compat": _compat,
        "help": _help,
        "list": _list,
        "prepare": _prepare,
        "statistics": _statistics,
        "sweep": _sweep,
    }
    named = bool(arguments) and not arguments[0].startswith("-")
    try:
        if arguments[:1] in (["--version"], ["-V"]):
            return _version(arguments[1:])
        if not named:
            return _run(arguments)
        if arguments[0] not in commands:
            raise unknown("command", arguments[0], [*commands, "--version"])
        return commands[arguments[0]](arguments[1:])
    except (JunlearnError, DivergedError) as error:
        return _complain(error)


def _complain(error: Exception, about: str = "") -> int:
    """Say on one line of stderr what went wrong; returns the exit status (the smaller is the graver)."""
    from junlearn.errors import DivergedError, JunlearnError
    from junlearn.text import terminal

    # No space, no permission: what was complete before is on disk.
    text = terminal.fault(error) if isinstance(error, OSError) else str(error)
    if isinstance(error, DivergedError):
        text = f"the run diverged: {text}"
    elif not isinstance(error, JunlearnError | OSError):
        text = f"{type(error).__name__}: {text}"
    terminal.complain(f"{about}{text}")
    return 2 if isinstance(error, (JunlearnError, OSError)) else 1


def _run(arguments: list[str]) -> int:
    from junlearn import cli
    from junlearn.commands import guide, places
    from junlearn.reports import tables

    if (asked := guide.topic(arguments)) is not None:
        guide.show(*asked)
        sys.exit(0)
    options, rest = cli.split_arguments(arguments)
    for path in options.table:
        tables.check(path)
    experiment = cli.experiment(options, rest)
    workdir = Path(options.workdir or cli.default_workdir(options.config, experiment))
    places.check(workdir, options.cache_dir)
    for path in options.table:
        places.check_file("--table", path, within=workdir)
    return _carry_out(
        experiment, workdir, options.cache_dir, options.fresh, options.plot, options.table
    )


def _carry_out(
    experiment: Any,
    workdir: Path,
    cache_dir: str | None,
    fresh: Any = "nothing",
    plot: bool = False,
    table_files: Sequence[Path] = (),
) -> int:
    """Run an experiment and show what came of it."""
    from junlearn import cli
    from junlearn.engine import processes
    from junlearn.experiment.progress import Reporter
    from junlearn.experiment.records import read
    from junlearn.reports import table, tables
    from junlearn.text.terminal import printable

    console = _joined([experiment])
    from junlearn.experiment.execute import execute

    cli.keep_compilations(cache_dir)
    records, failures = execute(experiment, workdir, cache_dir, Reporter(console), fresh)
    if not processes.is_first():
        return 0
    table.table(records, console)
    console.print(f"records: {printable(workdir / 'records.jsonl')}")
    if plot:
        from junlearn.reports import plots

        for path in plots.write(records, workdir / "plots"):
            console.print(f"plot: {printable(path)}", soft_wrap=True)
    for path in table_files:
        tables.write(read(workdir / "records.jsonl"), path)
        console.print(f"table: {printable(path)}", soft_wrap=True)
    return min((_complain(error, f"{label}: ") for label, error in failures.items()), default=0)


def _sweep(arguments: list[str]) -> int:
    from junlearn import cli
    from junlearn.commands import parsers, places
    from junlearn.engine import processes
    from junlearn.experiment import schema, sweep
    from junlearn.reports import sweep as sweep_report

    options = parsers.sweep().parse_args(arguments)
    points = sweep.expand(cli.with_plugins(schema.read(options.config), options.plugin))
    workdir = options.workdir or cli.sweep_workdir(options.config, points)
    places.check(workdir, options.cache_dir)
    sweep.check(points, options.select, options.over)
    console = _joined([] if options.dry_run else [point.experiment for point in points])
    sweep_report.plan(points, workdir, console)
    if options.workdir is None and workdir != cli.default_workdir(options.config, None):
        console.print(f"goes on in {workdir}, where it was begun", highlight=False)
    if options.dry_run:
        return 0
    from junlearn.errors import ConfigError, DivergedError
    from junlearn.experiment.execute import execute
    from junlearn.experiment.foresight import foresee
    from junlearn.experiment.progress import Reporter
    from junlearn.text.terminal import printable

    reporter = Reporter(console)
    cli.keep_compilations(options.cache_dir)
    titled = [(point.title(), point.experiment) for point in points]
    splits = foresee(titled, options.cache_dir, reporter)
    sweep.check(points, options.select, options.over, splits)
    found: list[sweep.Trial] = []
    failures: list[tuple[str, Exception]] = []
    try:
        for number, point in enumerate(points, start=1):
            console.print(f"point {number} of {len(points)}: {printable(point.title())}")
            try:
                outcome = execute(
                    *(point.experiment, point.directory(workdir), options.cache_dir, reporter),
                    fresh=options.fresh,
                )
            except DivergedError as error:
                failures.append((f"{point.title()}: ", error))
                continue
            found += sweep.trials(point, outcome.records)
            failures += [
                (f"{point.title()}, {label}: ", e) for label, e in outcome.failures.items()
            ]
    finally:
        # Whatever ends the sweep: what was measured is in the tables.
        if processes.is_first() and found:
            try:
                runs = sweep.best(found, options.select, options.over)
            except ConfigError as error:
                failures.append(("", error))
                runs = sweep.best(found, None, options.over)
            paths = sweep_report.write(found, runs, options.over, workdir)
    if not processes.is_first():
        return 0
    if found:
        sweep_report.table(runs, options.over, console)
        for path in paths:
            console.print(f"written: {printable(path)}", soft_wrap=True)
    return min((_complain(error, where) for where, error in failures), default=0)


def _cache(arguments: list[str]) -> int:
    from junlearn.commands import cache as cache_command

    return cache_command.command(arguments)


def _compat(arguments: list[str]) -> int:
    from junlearn import compat
    from junlearn.commands import places
    from junlearn.experiment import schema

    request = compat.parse(arguments)
    experiment = schema.parse(request.table)
    places.check(request.workdir, request.cache_dir)
    for line in request.remarks:
        print(f"note: {line}")
    return _carry_out(experiment, request.workdir, request.cache_dir)


def _statistics(arguments: list[str]) -> int:
    from junlearn.commands import parsers, places

    own, others = parsers.statistics().parse_known_args(arguments)
    from junlearn import cli
    from junlearn.engine import processes
    from junlearn.engine.precision import matmuls
    from junlearn.errors import ConfigError
    from junlearn.experiment.progress import Reporter
    from junlearn.parts import class_statistics

    if own.file.suffix != ".npz":
        raise ConfigError(f"statistics {str(own.file)!r}: the name must end in .npz")
    places.check_file("statistics", own.file)
    options, rest = cli.split_arguments(others)
    experiment = cli.experiment(options, rest)
    places.check(own.file.parent, options.cache_dir)
    console = _joined([experiment])
    from junlearn.experiment.execute import original_network

    cli.keep_compilations(options.cache_dir)
    reporter = Reporter(console)
    problem, original = original_network(experiment, options.cache_dir, reporter)
    power = class_statistics.Power(own.delta, own.signed)
    with matmuls(experiment.matmul_precision):
        moments = class_statistics.collect(
            problem.model,
            original.variables,
            problem.sources["train"],
            view=problem.dataset.views["eval"],
            power=power,
        )
    processes.first(lambda: class_statistics.save(own.file, moments, power))
    reporter.say(f"statistics of {len(moments.count)} classes: {own.file}")
    return 0


def _joined(experiments: Sequence[Any]) -> Any:
    """The terminal, after the processes of a distributed run have met: only the first of them has one."""
    from junlearn.engine import processes
    from junlearn.text.terminal import Terminal

    processes.join(experiments)
    return Terminal(quiet=not processes.is_first())


def _list(arguments: list[str]) -> int:
    from junlearn.commands import catalogue, parsers
    from junlearn.plugins import registry

    options = parsers.listing().parse_args(arguments)
    for file in options.plugin:
        registry.register_file(Path(file))
    chosen = catalogue.chosen(options.kind, options.name)
    print(json.dumps(chosen.data, indent=2) if options.json else chosen.text)
    return 0


def _help(arguments: list[str]) -> int:
    from junlearn.commands import guide

    guide.show(arguments[0] if arguments else "", arguments[1:])
    return 0


def _version(arguments: list[str]) -> int:
    from junlearn.commands.arguments import Parser
    from junlearn.experiment.provenance import versions

    Parser(prog="--version").parse_args(arguments)
    of = versions()
    print(f"junlearn {of['junlearn']} (jax {of['jax']}, Python {of['python']})")
    return 0


def _prepare(arguments: list[str]) -> int:
    from junlearn.commands import parsers, places

    options = parsers.prepare().parse_args(arguments)
    from junlearn.datasets.prepare import prepare

    if options.data_dir is not None:
        places.check_folder("--data-dir", Path(options.data_dir))
    for line in prepare(options.names, options.data_dir):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
