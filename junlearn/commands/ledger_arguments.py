"""The arguments of `python -m junlearn.main ledger`, one parser for each action."""

import argparse
from typing import Any

from junlearn.commands.arguments import PROGRAM, Parser, path, text

__all__ = ["parser", "parsers"]

EXAMPLES = f"""\
examples:
  {PROGRAM} ledger init orders --config ledger/digits --retrain-every 5
  {PROGRAM} ledger forget orders --request request.txt --by id
  {PROGRAM} ledger forget orders --request request.txt --near 10 --dry-run
  {PROGRAM} ledger status orders
  {PROGRAM} ledger verify orders
  {PROGRAM} ledger export orders --to current.safetensors"""
ACTIONS = {
    "init": "begin a ledger: the data, the original network, a method and a policy; options change the experiment",
    "forget": "carry out a request, from the current network to the next",
    "status": "where a ledger stands",
    "verify": "compute the chain and the hashes of all files again, and name the first line that does not fit",
    "report": "what was asked and done, what is left, and whether it fits, as text",
    "export": "write the network in use as a file with the names that PyTorch has for it",
}


def parser() -> Parser:
    """The arguments of `ledger`."""
    return parsers()[0]


def parsers() -> tuple[Parser, dict[str, Any]]:
    """The parser, and that of each action."""
    parser = Parser(
        prog=f"{PROGRAM} ledger",
        description="Deletion requests as they come: one network in use, and a chained line on\n"
        "every request that changed it.",
        epilog=EXAMPLES,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    made = {}
    for name, does in ACTIONS.items():
        made[name] = actions.add_parser(name, help=does, description=does)
        made[name].add_argument("directory", type=path, metavar="DIR")
    _init(made["init"])
    _forget(made["forget"])
    for name in ("status", "verify", "report"):
        made[name].add_argument("--json", action="store_true", help="for programs")
    _export(made["export"])
    made["report"].add_argument("--cache-dir", type=text, help="where copies are looked for, too")
    return parser, made


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        type=path,
        metavar="FILE",
        help="the original network, in the place of training one",
    )
    parser.add_argument(
        "--private", action="store_true", help="salted hashes in the place of names, in every line"
    )
    parser.add_argument(
        "--retrain-every", type=int, metavar="K", help="train anew after every K requests"
    )
    parser.add_argument(
        "--drift",
        metavar="METRIC:BOUND",
        help="train anew when a metric is farther from the last exact network's: accuracy/retain_train:0.01, "
        "or distance:2.5 for that of the weights",
    )


def _forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--request",
        type=path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="an example a line; several files are requests one after the other",
    )
    parser.add_argument(
        "--by", choices=("row", "id"), help="what the lines are (default: id, where there are ids)"
    )
    parser.add_argument("--private", action="store_true", help="salted hashes in this line")
    parser.add_argument("--with-twins", action="store_true", help="delete exact copies along")
    parser.add_argument(
        "--skip-known", action="store_true", help="pass over what was deleted before"
    )
    parser.add_argument(
        "--near",
        type=_count,
        default=0,
        metavar="N",
        help="name the N retained images that look most alike",
    )
    parser.add_argument("--dry-run", action="store_true", help="say it and change nothing")
    parser.add_argument(
        "--purge",
        action="store_true",
        help="then remove earlier networks, and the data's images and networks in the cache; "
        "alone: remove them now",
    )
    parser.add_argument(
        "--cache-dir", type=text, help="default: JUNLEARN_CACHE_DIR, else ~/.cache/junlearn"
    )


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", type=path, metavar="FILE", required=True, help=".safetensors, .pt, .pth or .bin"
    )
    parser.add_argument(
        "--names",
        type=text,
        metavar="LIBRARY",
        help="huggingface, timm or torchvision, where several have the network",
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {value!r}")
    return number
