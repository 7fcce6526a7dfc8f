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
    from junlearn.engine import processes
    from junlearn.experiment.progress import Reporter
    from junlearn.experiment.records import read
    from junlearn.reports import table, tables
    from junlearn.text.terminal import printable

    console = joined([experiment])
    from junlearn.experiment.execute import execute

    cli.keep_compilations(cache_dir)
    records, failures = execute(experiment, workdir, cache_dir, Reporter(console), fresh)
    if not processes.is_first():
        return 0
    table.table(records, console)
    console.print(f"records: {printable(workdir / 'records.jsonl')}")
    if plot_formats:
        _draw(experiment, records, workdir, cache_dir, plot_formats, console)
    for path in table_files:
        tables.write(read(workdir / "records.jsonl"), path)
        console.print(f"table: {printable(path)}", soft_wrap=True)
    return min((complain(error, f"{label}: ") for label, error in failures.items()), default=0)


def _draw(
    experiment: Any,
    records: Sequence[Any],
    workdir: Path,
    cache_dir: str | None,
    formats: Sequence[str],
    console: Any,
) -> None:
    """Draw the records, and what their networks say; a network that cannot be asked is named."""
    import jax

    from junlearn.errors import JunlearnError
    from junlearn.experiment import schema
    from junlearn.experiment.revisit import revisit
    from junlearn.reports.pictures import draw
    from junlearn.text.terminal import printable

    found, lines = None, []
    if jax.process_count() > 1:
        lines.append("the same command with one process draws predictions and embeddings too")
    elif records:
        try:
            found = revisit(records, schema.plain(experiment), workdir, cache_dir, images=False)
            lines += [f"without a picture of its answers: {line}" for line in found.missing]
        except (JunlearnError, OSError) as error:
            lines.append(f"without pictures of what networks answer: {error}")
    for path in draw.write(records, found, workdir / "plots", formats) if records else ():
        console.print(f"plot: {printable(path)}", soft_wrap=True)
    for line in lines:
        console.print(printable(line), soft_wrap=True)


def joined(experiments: Sequence[Any]) -> Any:
    """The terminal, after the processes of a distributed run have met: only the first of them has one."""
    from junlearn.engine import processes
    from junlearn.text.terminal import Terminal

    processes.join(experiments)
    return Terminal(quiet=not processes.is_first())
