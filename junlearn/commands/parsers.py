"""The arguments of each command of `python -m junlearn.main`."""

from junlearn.commands.arguments import PROGRAM, Parser, fresh, path, plugin, power, text

__all__ = ["listing", "prepare", "statistics", "sweep"]


def sweep() -> Parser:
    """Of `sweep`."""
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
    add("--config", type=path, required=True, metavar="FILE", help="a file with a table [sweep]")
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


def statistics() -> Parser:
    """Of `statistics`, beside the options of a run."""
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


def prepare() -> Parser:
    """Of `prepare`."""
    parser = Parser(
        prog=f"{PROGRAM} prepare",
        description="Download and prepare datasets through TFDS; says what it writes and where.",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="such as mnist")
    parser.add_argument(
        "--data-dir",
        type=text,
        metavar="DIR",
        help="where to; default: TFDS_DATA_DIR, else ~/tensorflow_datasets",
    )
    return parser


def listing() -> Parser:
    """Of `list`."""
    parser = Parser(
        prog=f"{PROGRAM} list",
        description="What can be named in a configuration: all of it, one kind, or one thing in full.",
        epilog="""examples:
  python -m junlearn.main list
  python -m junlearn.main list methods
  python -m junlearn.main list method ssd
  python -m junlearn.main list model resnet18 --json""",
    )
    add = parser.add_argument
    add("kind", nargs="?", help="methods, models, datasets, scenarios or metrics")
    add("name", nargs="?", help="one of them, with its fields")
    add("--json", action="store_true", help="one JSON object, for programs")
    plugin(parser)
    return parser
