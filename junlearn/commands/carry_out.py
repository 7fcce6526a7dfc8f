"""An experiment from its configuration to what a person sees of it: records, table, plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["carry_out", "joined"]


def carry_out(
    experiment: Any,
    workdir: Path,
    cache_dir: str | None,
    fresh: Any = "nothing",
    plot_formats: Sequence[str] = (),
    table_files: Sequence[Path] = (),
) -> int:
    """Run an experiment and show what came of it; returns the exit status."""
    from junlearn import cli
    from junlearn.commands.complaints import complain
    from junlearn.commands.drawing import draw
    from junlearn.engine import processes
    from junlearn.experiment.progress import Reporter
    from junlearn.experiment.records import read
    from junlearn.reports import table, tables
    from junlearn.text.terminal import printable

    console = joined([experiment])
    from junlearn.experiment import logged
    from junlearn.experiment.execute import execute

    cli.keep_compilations(cache_dir)
    reporter = Reporter(console)
    with logged.opened(experiment, workdir, reporter) as log:
        records, failures = execute(experiment, workdir, cache_dir, reporter, fresh, log)
        if not processes.is_first():
            return 0
        table.table(records, console)
        console.print(f"records: {printable(workdir / 'records.jsonl')}")
        if plot_formats:
            drawn = draw(experiment, records, workdir, cache_dir, plot_formats, console)
            for path in drawn:
                console.print(f"plot: {printable(path)}", soft_wrap=True)
            log.pictures(drawn)
    if log:
        console.print(f"logs: {printable(workdir / logged.FOLDER)}", soft_wrap=True)
    for path in table_files:
        tables.write(read(workdir / "records.jsonl"), path)
        console.print(f"table: {printable(path)}", soft_wrap=True)
    return min((complain(error, f"{label}: ") for label, error in failures.items()), default=0)


def joined(experiments: Sequence[Any]) -> Any:
    """The terminal, after the processes of a distributed run have met: only the first of them has one."""
    from junlearn.engine import processes
    from junlearn.text.terminal import Terminal

    processes.join(experiments)
    return Terminal(quiet=not processes.is_first())
