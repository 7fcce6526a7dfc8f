"""Class statistics of an original network, with which SCAR needs no retain data."""

from junlearn.commands.arguments import PROGRAM, Parser, not_logged, path, power

__all__ = ["command", "parser"]


def parser() -> Parser:
    """The arguments of `statistics`, beside the options of a run."""
    parser = Parser(
        prog=f"{PROGRAM} statistics",
        description="Write the class statistics of an experiment's original network to a file:\n"
        "with it SCAR needs no retain data. Options that are not listed change the\nexperiment, as in a run.",
    )
    add = parser.add_argument
    add("file", type=path, metavar="FILE.npz")
    add("--delta", type=power, default=0.5, help="power of the features, default: 0.5")
    add("--signed", action="store_true", help="for features that can be negative")
    return parser


def command(arguments: list[str]) -> int:
    """Write the class statistics of an original network to a file; returns the exit status."""
    from junlearn.commands import places

    own, others = parser().parse_known_args(arguments)
    from junlearn import cli
    from junlearn.commands.carry_out import joined
    from junlearn.engine import processes
    from junlearn.engine.precision import matmuls
    from junlearn.errors import ConfigError
    from junlearn.experiment.progress import Reporter
    from junlearn.parts import class_statistics

    if own.file.suffix != ".npz":
        raise ConfigError(f"statistics {str(own.file)!r}: the name must end in .npz")
    places.check_file("statistics", own.file)
    options, rest = cli.split_arguments(others)
    not_logged("statistics", options)
    experiment = cli.experiment(options, rest)
    places.check(own.file.parent, options.cache_dir)
    console = joined([experiment])
    from junlearn.experiment.execute import original_network

    cli.keep_compilations(options.cache_dir)
    reporter = Reporter(console)
    problem, original = original_network(experiment, options.cache_dir, reporter)
    power = class_statistics.TukeyPower(own.delta, own.signed)
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
