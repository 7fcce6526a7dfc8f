"""A sweep: the experiments of a grid, and their tables."""

from junlearn.commands.arguments import PROGRAM, Parser, configuration, fresh, path, plugin, text

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
  python -m junlearn.main sweep --config FILE --select mia/entropy:min""",
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
    fresh(parser)
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
    from junlearn.commands.carry_out import joined
    from junlearn.commands.complaints import complain
    from junlearn.engine import processes
    from junlearn.experiment import schema, sweep
    from junlearn.reports import sweep as sweep_report

    options = parser().parse_args(arguments)
    points = sweep.expand(cli.with_plugins(schema.read(options.config), options.plugin))
    workdir = options.workdir or cli.sweep_workdir(options.config, points)
    places.check(workdir, options.cache_dir)
    sweep.check(points, options.select, options.over)
    console = joined([] if options.dry_run else [point.experiment for point in points])
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
    splits = [each.splits for each in foresee(titled, options.cache_dir, reporter)]
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
            found = sweep.by_request(found)
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
    return min((complain(error, where) for where, error in failures), default=0)
