"""The command line: parsing and calls only.

    python -m junlearn.main                                  the first run: digits, class removal, several methods
    python -m junlearn.main --config FILE [--seed 1] [--workdir DIR] [--method.epochs 10] ...
                             [--plot]                    loss curves and accuracies as PNG below the workdir
                             [--table FILE.csv]          all records of the workdir as a table (or FILE.parquet)
    python -m junlearn.main prepare NAME ... [--data-dir DIR]    download and prepare datasets through TFDS
    python -m junlearn.main list [--json]                    methods, models, datasets, scenarios, metrics

Exit status: 0 success, 2 a mistake in usage, configuration or files (one line on stderr), 1 a failure while running.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    from junlearn.errors import DivergedError, JunlearnError

    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"list": _list, "prepare": _prepare}
    command = commands.get(arguments[0], _run) if arguments else _run
    try:
        return command(arguments[1:] if command is not _run else arguments)
    except JunlearnError as error:
        print(f"junlearn: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        # No space, no permission: what was complete before is on disk.
        print(f"junlearn: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return 2
    except DivergedError as error:
        print(f"junlearn: the run diverged: {error}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    from rich.console import Console

    from junlearn import cli, report, tables
    from junlearn.progress import Reporter

    options, rest = cli.split_arguments(arguments)
    for path in options.table:
        tables.check(path)
    experiment = cli.experiment(options, rest)
    if experiment.loop.distributed:
        import jax

        jax.distributed.initialize()
    from junlearn.experiment import execute
    from junlearn.records import read

    cli.keep_compilations(options.cache_dir)
    console = Console()
    workdir = Path(options.workdir or cli.default_workdir(experiment))
    records = execute(experiment, workdir, options.cache_dir, Reporter(console))
    report.table(records, console)
    console.print(f"records: {workdir / 'records.jsonl'}", highlight=False)
    if options.plot:
        from junlearn import plots

        for path in plots.write(records, workdir / "plots"):
            console.print(f"plot: {path}", highlight=False, soft_wrap=True)
    for path in options.table:
        tables.write(read(workdir / "records.jsonl"), path)
        console.print(f"table: {path}", highlight=False, soft_wrap=True)
    return 0


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
    for kind, entries in catalogue.items():
        print(kind)
        for name, summary in entries.items():
            print(f"  {name:<20} {summary}")
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
