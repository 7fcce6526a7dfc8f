"""Downloads: datasets prepared through TFDS."""

from pathlib import Path

from junlearn.commands.arguments import PROGRAM, Parser, text

__all__ = ["command", "parser"]


def parser() -> Parser:
    """The arguments of `prepare`."""
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


def command(arguments: list[str]) -> int:
    """Download and prepare datasets; returns the exit status."""
    from junlearn.commands import places

    options = parser().parse_args(arguments)
    from junlearn.datasets.prepare import prepare

    if options.data_dir is not None:
        places.check_folder("--data-dir", Path(options.data_dir))
    for line in prepare(options.names, options.data_dir):
        print(line)
    return 0
