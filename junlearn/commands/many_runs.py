"""Methods, seeds and settings of one command line: run one after the other, and compared."""

from pathlib import Path

from junlearn.commands.axes import Planned

__all__ = ["carry_out"]

FILES = {"csv": "comparison.csv", "markdown": "comparison.md", "latex": "comparison.tex"}
"""What is written beside the points, by format."""


def carry_out(planned: Planned) -> int:
    """Print the plan, run its points, print their comparison and write it; returns the exit status."""
    from junlearn import cli
    from junlearn.commands import places
    from junlearn.commands.carry_out import joined
    from junlearn.commands.compare import content
    from junlearn.commands.complaints import complain
    from junlearn.commands.drawing import draw
    from junlearn.commands.points import Grid, hint, walk
    from junlearn.comparison.made_with import covered
    from junlearn.engine import processes
    from junlearn.experiment import sweep
    from junlearn.files import replace
    from junlearn.reports import sweep as sweep_report
    from junlearn.reports import tables
    from junlearn.reports.compared import Comparison, compared
    from junlearn.text.terminal import printable

    options, points, over = planned.options, planned.points, planned.over
    usual = cli.default_workdir(options.config, planned.start)
    workdir = Path(options.workdir or usual.with_name(f"{usual.name}_seeds"))
    for path in options.table:
        tables.check(path)
        places.check_file("--table", path, within=workdir)
    places.check(workdir, options.cache_dir)
    console = joined([] if planned.dry_run else [point.experiment for point in points])
    sweep_report.plan(points, workdir, console)
    for axis, count in planned.lists.items():
        words = f"{axis}: {count} values, each in experiments of its own; a comma joins (0,1)"
        console.print(words, highlight=False)
    if planned.dry_run:
        return 0
    made: list[Comparison] = []
    paths: list[Path] = []
    runs: list[sweep.Trial] = []

    def keep(found: list[sweep.Trial]) -> None:
        records = [trial.record for trial in found]
        formats = options.plot_format or ["png"]
        chosen = sweep.best(found, None, over)
        paths.extend(sweep_report.write(found, chosen, over, workdir, formats))
        for path in options.table:
            tables.write(records, path)
            paths.append(path)
        runs.extend(found)
        by = [axis for axis in points[0].axes if not covered(axis, over)]
        made.append(compared(records, over=over, by=by))
        for form, name in FILES.items():
            replace(workdir / name, content(made[0], form))
            paths.append(workdir / name)

    failures = walk(
        Grid(points, workdir, options.cache_dir, options.fresh),
        console,
        check=lambda splits: None,
        keep=keep,
    )
    if not processes.is_first():
        return 0
    for point in points if options.plot_format else ():
        own = [trial.record for trial in runs if point.axes.items() <= trial.axes.items()]
        where = (point.directory(workdir), options.cache_dir, options.plot_format, console)
        paths.extend(draw(point.experiment, own, *where))
    for comparison in made:
        width = console.width if console.is_terminal else None
        console.print()
        console.print(comparison.table(width=width), soft_wrap=True, highlight=False, end="")
    for path in paths:
        console.print(f"written: {printable(path)}", soft_wrap=True)
    console.print(hint(workdir, points, over), soft_wrap=True)
    return min((complain(error, where) for where, error in failures), default=0)
