"""The command line: parsing and calls only.

    python -m junlearn.main                                  the first run: digits, class removal, several methods
    python -m junlearn.main --config FILE [--seed 1] [--method.epochs 10] ...
                             [--workdir DIR]             where records, checkpoints and plots go; default: named
                                                         after FILE and its folder, runs/FOLDER_FILE
                             [--cache-dir DIR]           where datasets and networks are kept that all runs share
                             [--fresh [changed]]         make everything anew, or what other versions, code or
                                                         devices made
                             [--plot]                    loss curves and accuracies as PNG below the workdir
                             [--table FILE.csv]          all records of the workdir as a table (or FILE.parquet)
    python -m junlearn.main sweep --config FILE [--dry-run] [--select oracle | developer] [--over KEY ...]
                                                         a grid of experiments: its plan, a table, curves
    python -m junlearn.main compat corrective --dataset CIFAR10 ...
                                                         the options of the released corrective benchmark
    python -m junlearn.main statistics FILE.npz --config FILE [--delta 0.5] [--signed]
                                                         class statistics of the original, to ship with it (SCAR)
    python -m junlearn.main prepare NAME ... [--data-dir DIR]    download and prepare datasets through TFDS
    python -m junlearn.main cache list|purge [--dataset NAME | --request FILE --config FILE | --all] [--dry-run]
                                                         what lies in the cache, and its removal
    python -m junlearn.main list [--json]                    methods, models, datasets, scenarios, metrics

Exit status: 0 success, 2 a mistake in usage, configuration or files (one line on stderr), 1 a failure while running,
130, 143 or 129 when SIGINT (Ctrl-C), SIGTERM or SIGHUP ended it (a run that is training saves first, and the same
command goes on there; a second signal ends it at once), 141 when whoever read its output was gone.
A method that fails does not keep the others from running: they are in the table, it is named on stderr.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    from junlearn import interrupts, terminal

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
        "list": _list,
        "prepare": _prepare,
        "statistics": _statistics,
        "sweep": _sweep,
    }
    named = bool(arguments) and not arguments[0].startswith("-")
    try:
        if not named:
            return _run(arguments)
        if arguments[0] not in commands:
            raise unknown("command", arguments[0], commands)
        return commands[arguments[0]](arguments[1:])
    except (JunlearnError, DivergedError) as error:
        return _complain(error)


def _complain(error: Exception, about: str = "") -> int:
    """Say on one line of stderr what went wrong; returns the exit status (the smaller is the graver)."""
    from junlearn import terminal
    from junlearn.errors import DivergedError, JunlearnError

    # No space, no permission: what was complete before is on disk.
    text = terminal.fault(error) if isinstance(error, OSError) else str(error)
    if isinstance(error, DivergedError):
        text = f"the run diverged: {text}"
    elif not isinstance(error, JunlearnError | OSError):
        text = f"{type(error).__name__}: {text}"
    terminal.complain(f"{about}{text}")
    return 2 if isinstance(error, (JunlearnError, OSError)) else 1


def _run(arguments: list[str]) -> int:
    from junlearn import cli, tables

    options, rest = cli.split_arguments(arguments)
    for path in options.table:
        tables.check(path)
    experiment = cli.experiment(options, rest, (__doc__ or "").partition("\n\n")[2])
    workdir = Path(options.workdir or cli.default_workdir(options.config, experiment))
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
    from junlearn import cli, processes, report, tables
    from junlearn.progress import Reporter
    from junlearn.records import read
    from junlearn.terminal import printable

    console = _joined([experiment])
    from junlearn.experiment import execute

    cli.keep_compilations(cache_dir)
    records, failures = execute(experiment, workdir, cache_dir, Reporter(console), fresh)
    if not processes.is_first():
        return 0
    report.table(records, console)
    console.print(f"records: {printable(workdir / 'records.jsonl')}")
    if plot:
        from junlearn import plots

        for path in plots.write(records, workdir / "plots"):
            console.print(f"plot: {printable(path)}", soft_wrap=True)
    for path in table_files:
        tables.write(read(workdir / "records.jsonl"), path)
        console.print(f"table: {printable(path)}", soft_wrap=True)
    return min((_complain(error, f"{label}: ") for label, error in failures.items()), default=0)


def _sweep(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="junlearn sweep", description="A grid of experiments.")
    parser.add_argument("--config", type=Path, required=True, help="a file with a table [sweep]")
    parser.add_argument("--workdir", type=Path, help="default: runs/NAME_OF_THE_FILE")
    parser.add_argument("--cache-dir", help="where datasets and trained networks are kept")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument(
        "--select",
        metavar="RULE",
        help="show only the best setting of each method: RULE is oracle (by the test set) or developer (by S_f and "
        "validation data)",
    )
    parser.add_argument(
        "--over",
        nargs="+",
        default=["seed"],
        metavar="AXIS",
        help="axes over which means are taken (default: seed), such as seed scenario.classes",
    )
    from junlearn import cli, config, processes, sweep, sweep_report

    cli.fresh_option(parser)
    options = parser.parse_args(arguments)

    points = sweep.expand(config.read(options.config))
    workdir = options.workdir or Path("runs") / options.config.stem
    console = _joined([] if options.dry_run else [point.experiment for point in points])
    sweep_report.plan(points, workdir, console)
    sweep.check(points, options.select, options.over)
    if options.dry_run:
        return 0
    from junlearn.experiment import execute
    from junlearn.progress import Reporter
    from junlearn.terminal import printable

    cli.keep_compilations(options.cache_dir)
    found: list[sweep.Trial] = []
    failures: list[tuple[str, Exception]] = []
    for number, point in enumerate(points, start=1):
        console.print(f"point {number} of {len(points)}: {printable(point.title())}")
        outcome = execute(
            *(point.experiment, point.directory(workdir), options.cache_dir, Reporter(console)),
            fresh=options.fresh,
        )
        found += sweep.trials(point, outcome.records)
        failures += [(f"{point.title()}, {label}: ", e) for label, e in outcome.failures.items()]
    if not processes.is_first():
        return 0
    runs = sweep.best(found, options.select, options.over)
    sweep_report.table(runs, options.over, console)
    for path in sweep_report.write(found, runs, options.over, workdir):
        console.print(f"written: {printable(path)}", soft_wrap=True)
    return min((_complain(error, where) for where, error in failures), default=0)


def _cache(arguments: list[str]) -> int:
    from junlearn import cache_command

    return cache_command.command(arguments)


def _compat(arguments: list[str]) -> int:
    from junlearn import compat, config
    from junlearn.terminal import complain

    request = compat.parse(arguments)
    for line in request.remarks:
        complain(line)
    experiment = config.parse(request.table)
    return _carry_out(experiment, request.workdir, request.cache_dir)


def _statistics(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="junlearn statistics",
        description="Write the class statistics of an experiment's original network to a file: with it SCAR needs no "
        "retain data. Options that are not listed change the experiment, as in a run.",
    )
    parser.add_argument("file", type=Path, metavar="FILE.npz")
    parser.add_argument("--delta", type=float, default=0.5, help="power of the features")
    parser.add_argument("--signed", action="store_true", help="for features that can be negative")
    own, others = parser.parse_known_args(arguments)
    from junlearn import class_statistics, cli, processes
    from junlearn.errors import ConfigError
    from junlearn.progress import Reporter

    if own.file.suffix != ".npz":
        raise ConfigError(f"statistics {str(own.file)!r}: the name must end in .npz")
    options, rest = cli.split_arguments(others)
    experiment = cli.experiment(options, rest)
    console = _joined([experiment])
    from junlearn.experiment import original_network

    cli.keep_compilations(options.cache_dir)
    reporter = Reporter(console)
    problem, original = original_network(experiment, options.cache_dir, reporter)
    power = class_statistics.Power(own.delta, own.signed)
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
    from junlearn import processes
    from junlearn.terminal import Terminal

    processes.join(experiments)
    return Terminal(quiet=not processes.is_first())


def _list(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="junlearn list", description="What can be named in a configuration."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    options = parser.parse_args(arguments)
    from junlearn import cli

    catalogue = cli.catalogue()
    if options.json:
        print(json.dumps(catalogue, indent=2))
        return 0
    width = max(len(name) for entries in catalogue.values() for name in entries)
    for kind, entries in catalogue.items():
        print(kind)
        for name, summary in entries.items():
            print(f"  {name:<{width}} {summary}")
    return 0


def _prepare(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="junlearn prepare", description="Download and prepare datasets through TFDS."
    )
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument(
        "--data-dir", help="where to; default: TFDS_DATA_DIR, else ~/tensorflow_datasets"
    )
    options = parser.parse_args(arguments)
    from junlearn.datasets.prepare import prepare

    for line in prepare(options.names, options.data_dir):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
