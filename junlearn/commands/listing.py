"""`python -m junlearn.main list`: what a configuration can name."""

import json
from pathlib import Path

from junlearn.commands.arguments import PROGRAM, Parser, plugin

__all__ = ["command", "parser"]


def parser() -> Parser:
    """The arguments of `list`."""
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


def command(arguments: list[str]) -> int:
    """Print a part of the catalogue; returns the exit status."""
    from junlearn.commands import catalogue
    from junlearn.plugins import registry

    options = parser().parse_args(arguments)
    for file in options.plugin:
        registry.register_file(Path(file))
    chosen = catalogue.chosen(options.kind, options.name)
    print(json.dumps(chosen.data, indent=2) if options.json else chosen.text)
    return 0
