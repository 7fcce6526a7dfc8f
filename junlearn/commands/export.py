"""A network of a run as a file for PyTorch."""

from pathlib import Path

from junlearn.commands.arguments import PROGRAM, Parser, path, text

__all__ = ["command", "parser"]

EXAMPLES = """examples:
  python -m junlearn.main export runs/digits --method ssd --to ssd.safetensors
  python -m junlearn.main export runs/digits --method retrain --to retrain.pt
  python -m junlearn.main export runs/vit --method scrub --to scrub.safetensors --names timm

Nothing is trained. load_state_dict(strict=True) of the same network in PyTorch
takes the file."""


def parser() -> Parser:
    """Of the command."""
    parser = Parser(
        prog=f"{PROGRAM} export",
        description="Write a network of a run as a file with the names that PyTorch has for it.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("run", type=path, metavar="DIR", help="the directory of the run (--workdir)")
    add(
        "--to",
        type=path,
        metavar="FILE",
        required=True,
        help=".safetensors, or .pt, .pth or .bin: a state_dict, which needs torch",
    )
    add(
        "--method",
        type=text,
        metavar="LABEL",
        help="whose network: a method's, original or retrain; needed where the run has several methods",
    )
    add(
        "--names",
        type=text,
        metavar="LIBRARY",
        help="whose names, where several have the network: huggingface, timm, torchvision",
    )
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 rounds, and takes half the bytes",
    )
    add("--cache-dir", "--cache_dir", type=text, metavar="DIR", help="that of the run")
    return parser


def command(arguments: list[str]) -> int:
    """Write a network of a run to a file; returns the exit status."""
    options = parser().parse_args(arguments)
    from rich.console import Console

    from junlearn.commands import places
    from junlearn.errors import ConfigError
    from junlearn.experiment.kept_network import read_network
    from junlearn.experiment.progress import Reporter
    from junlearn.models.weight_export import check_library, named_arrays, write
    from junlearn.text.terminal import printable

    check_library(options.to)
    places.check_file("--to", options.to)
    reporter = Reporter(Console(quiet=True))
    label = options.method or _only_method(options.run)
    network = read_network(options.run, label, options.cache_dir, reporter)
    if not network.model.tables and network.setup.model.tables:
        raise ConfigError(
            f"export: {label} leaves several networks in one, of which PyTorch has no names"
        )
    arrays = named_arrays(
        network.model, network.variables, names=options.names, dtype=options.dtype
    )
    write(options.to, arrays, network.about)
    numbers = sum(array.size for array in arrays.values())
    size = options.to.stat().st_size
    print(
        f"{printable(label)}: {len(arrays)} arrays, {numbers:,} numbers, {size:,} bytes: {printable(options.to)}"
    )
    return 0


def _only_method(run: Path) -> str:
    """The label of the one method of a run. Raises ConfigError where it has several."""
    from junlearn.errors import ConfigError
    from junlearn.experiment.kept_network import experiment_of

    labels = experiment_of(run).methods
    if len(labels) > 1:
        raise ConfigError(
            f"export: {run} has several networks, choose one with --method: {', '.join(labels)}, original or retrain"
        )
    return str(labels[0])
