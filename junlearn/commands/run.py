"""A run: the experiment that the options describe."""

import sys
from pathlib import Path

__all__ = ["command"]


def command(arguments: list[str]) -> int:
    """Run the experiment that the options describe; returns the exit status."""
    from junlearn import cli
    from junlearn.commands import axes, guide, many_runs, places
    from junlearn.commands.arguments import PROGRAM
    from junlearn.commands.carry_out import carry_out
    from junlearn.engine import processes
    from junlearn.reports import tables
    from junlearn.text.terminal import printable

    if (asked := guide.topic(arguments)) is not None:
        guide.show(*asked)
        sys.exit(0)
    if axes.asked(arguments):
        planned = axes.planned(arguments)
        if planned.single is None:
            return many_runs.carry_out(planned)
        arguments = planned.single
    options, rest = cli.split_arguments(arguments)
    for path in options.table:
        tables.check(path)
    experiment = cli.experiment(options, rest)
    workdir = Path(options.workdir or cli.default_workdir(options.config, experiment))
    places.check(workdir, options.cache_dir)
    for path in options.table:
        places.check_file("--table", path, within=workdir)
    status = carry_out(
        experiment, workdir, options.cache_dir, options.fresh, options.plot_format, options.table
    )
    for section in ("audit", "search"):
        if hasattr(experiment, section) and processes.is_first():
            file = options.config or workdir / "config.json"
            text = f"[{section}] is for another command: {PROGRAM} {section} --config {file}"
            print(printable(text))
    return status
