"""A sweep: the experiments of a grid, and their tables."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from junlearn.commands.arguments import (
    PROGRAM,
    Parser,
    configuration,
    fresh,
    loggers,
    path,
    plot_format,
    plugin,
    shard,
    text,
)
from junlearn.experiment.sharding import Shard

__all__ = ["command", "parser"]


def parser() -> Parser:
    """The arguments of `sweep`."""
    parser = Parser(
        prog=f"{PROGRAM} sweep",
        description="""A grid of experiments: those of a file with a table [sweep].

    [sweep]
    "scenario.classes" = [[0], [1]]      an axis is a field, or a whole section
    seed = [0, 1, 2]
    [sweep.method.ssd]
    alpha = [1, 10]                      settings of a method, at each point""",
        epilog="""examples:
  python -m junlearn.main sweep --config FILE --dry-run
  python -m junlearn.main sweep --config FILE --select aus
  python -m junlearn.main sweep --config FILE --select mia/entropy:min
  python -m junlearn.main sweep --config FILE --shard 0/4""",
    )
    add = parser.add_argument
    add(
        "--config",
        type=configuration,
        required=True,
        metavar="FILE",
        help="a file with a table [sweep]",
    )
    add("--workdir", type=path, metavar="DIR", help="default: runs/FOLDER_FILE, as of a run")
    add("--cache-dir", type=text, metavar="DIR", help="datasets and networks that all runs share")
    add("--dry-run", action="store_true", help="print the plan and stop")
    add(
        "--shard",
        type=shard,
        metavar="I/N",
        help="only the points I, I + N, I + 2N ..., counted from 0: one of N jobs that share the directories, in a "
        "Slurm array $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT; without it the same command shows all points",
    )
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local: one point after the other, here. ray: each a task of Ray, in the cluster that RAY_ADDRESS names "
        "or a local one, with what [engine] of FILE asks for (gpus = 1, cpus = 1)",
    )
    fresh(parser)
    plot_format(parser)
    loggers(parser)
    plugin(parser)
    add(
        "--select",
        metavar="RULE",
        type=text,
        help="show only the best setting of each method, by the mean of RULE: a metric such as accuracy/retain_test, "
        "with :min or :max where its direction is not known, or oracle (by the test set) or developer (by S_f and "
        "validation data) in corrective scenarios",
    )
    add(
        "--over",
        nargs="+",
        default=["seed"],
        metavar="AXIS",
        help="axes over which means are taken (default: seed), such as seed scenario.classes",
    )
    return parser


def command(arguments: list[str]) -> int:
    """Run the experiments of a grid, or print its plan; returns the exit status."""
    from junlearn import cli
    from junlearn.commands import places
    from junlearn.commands.points import in_turn
    from junlearn.experiment import schema, sweep
    from junlearn.experiment.resources import resources_of

    options = parser().parse_args(arguments)
    table = cli.with_loggers(schema.read(options.config), options.log)
    needs = resources_of(table)
    points = sweep.expand(cli.with_plugins(table, options.plugin))
    workdir = options.workdir or cli.sweep_workdir(options.config, points)
    places.check(workdir, options.cache_dir)
    sweep.check(points, options.select, options.over)
    own = points if options.shard is None else options.shard.part(points)
    if options.engine == "local":
        return _carry_out(options, workdir, points, own, in_turn)
    from junlearn.commands import on_ray

    engine = on_ray.engine(needs, points)
    with on_ray.joined() if own and not options.dry_run else nullcontext():
        return _carry_out(options, workdir, points, own, engine)


def _carry_out(
    options: Any, workdir: Path, points: Sequence[Any], own: Sequence[Any], engine: Any
) -> int:
    """Print the plan of all points, carry out its `own`, and show what came of them; returns the exit status."""
    from junlearn import cli
    from junlearn.commands.carry_out import joined
    from junlearn.commands.complaints import complain
    from junlearn.commands.points import Grid, hint, walk
    from junlearn.engine import processes
    from junlearn.errors import ConfigError
    from junlearn.experiment import sweep
    from junlearn.reports import sweep as sweep_report
    from junlearn.text.terminal import printable

    console = joined([] if options.dry_run else [point.experiment for point in points])
    sweep_report.plan(points, workdir, console)
    if options.workdir is None and workdir != cli.default_workdir(options.config, None):
        console.print(f"goes on in {workdir}, where it was begun", highlight=False)
    if options.shard is not None:
        console.print(_part(options.shard, own, points), soft_wrap=True)
    if options.dry_run or not own:
        return 0
    runs: list[list[sweep.Trial]] = []
    paths: list[Path] = []

    def keep(found: list[sweep.Trial]) -> None:
        if options.shard is not None:
            # The tables are of all points: who has them all writes them.
            return
        chosen, failure = sweep.best(found, None, options.over), None
        try:
            chosen = sweep.best(found, options.select, options.over)
        except ConfigError as error:
            failure = error
        runs.extend(chosen)
        formats = options.plot_format or ["png"]
        paths.extend(sweep_report.write(found, chosen, options.over, workdir, formats))
        if failure is not None:
            raise failure

    failures = walk(
        Grid(own, workdir, options.cache_dir, options.fresh),
        console,
        check=lambda splits: sweep.check(own, options.select, options.over, splits),
        keep=keep,
        engine=engine,
    )
    if not processes.is_first():
        return 0
    if runs:
        sweep_report.table(runs, options.over, console)
        for path in paths:
            console.print(f"written: {printable(path)}", soft_wrap=True)
        if max(map(len, runs)) > 1:
            console.print(hint(workdir, points, options.over), soft_wrap=True)
    if options.shard is not None:
        told = "the same command without --shard shows all points when every shard is done"
        console.print(f"shard {options.shard}: {told}", soft_wrap=True)
    status = min((complain(error, where) for where, error in failures), default=0)
    # On a cluster the others went on, so a point failed while it was running, whatever it was.
    return 1 if options.engine == "ray" and any(where for where, _ in failures) else status


def _part(shard: Shard, own: Sequence[Any], points: Sequence[Any]) -> str:
    """What of the sweep is a shard's."""
    if not own:
        return f"shard {shard}: none of the {len(points)} points falls to it, nothing to do"
    return f"shard {shard}: {len(own)} of the {len(points)} points"
