"""`python -m junlearn.main cache list|purge`: what the cache directory holds, and its removal."""

import argparse
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from junlearn.commands.arguments import PROGRAM, Parser, path, text
from junlearn.errors import ConfigError, unknown
from junlearn.experiment import stored
from junlearn.experiment.stored import Entry

__all__ = ["command", "parser"]


def command(arguments: list[str]) -> int:
    """Carry out `cache list` or `cache purge`; returns the exit status. Raises ConfigError for mistakes."""
    options, rest = parser().parse_known_args(arguments)
    if rest and (options.action == "list" or options.request is None):
        raise ConfigError(f"cache {options.action}: unknown option {rest[0]!r}")
    found = stored.entries(options.cache_dir)
    if options.action == "list":
        return _list(found, options.json)
    chosen, remark = _chosen(options, rest, found)
    left = {entry.path: "" if options.dry_run else stored.remove(entry) for entry in chosen}
    if options.json:
        rows = [
            {**_row(e), "removed": not options.dry_run and not left[e.path], "left": left[e.path]}
            for e in chosen
        ]
        print(json.dumps(rows, indent=2))
    else:
        for entry in chosen:
            word = "would remove" if options.dry_run else "removed"
            reason = left[entry.path]
            print(f"{f'not removed ({reason})' if reason else word}: {_line(entry)}")
        for line in (*remark, *([] if chosen else ["nothing to remove"])):
            print(line)
    return 0


def parser() -> Parser:
    """Of the command."""
    parser = Parser(prog=f"{PROGRAM} cache", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|purge")
    for name, does in (("list", "show what lies in the cache"), ("purge", "remove it")):
        action = actions.add_parser(name, help=does, description=does)
        action.add_argument(
            "--cache-dir", type=text, help="default: JUNLEARN_CACHE_DIR, else ~/.cache/junlearn"
        )
        action.add_argument("--json", action="store_true", help="for programs")
    action.add_argument(
        "--dataset",
        metavar="NAME",
        help="a dataset's images, and all networks, banks and scores of it",
    )
    action.add_argument(
        "--request",
        type=path,
        metavar="FILE",
        help="what learned the rows of a request; with --config and other options of the run",
    )
    action.add_argument("--config", type=path, help="the experiment that the request belongs to")
    action.add_argument("--all", action="store_true", help="everything")
    action.add_argument("--dry-run", action="store_true", help="say it and remove nothing")
    return parser


def _list(found: list[Entry], as_json: bool) -> int:
    if as_json:
        print(json.dumps([_row(entry) for entry in found], indent=2))
        return 0
    for entry in found:
        print(_line(entry))
    print(f"{len(found)} entries, {_size(sum(entry.bytes for entry in found))}")
    return 0


def _chosen(
    options: argparse.Namespace, rest: list[str], found: list[Entry]
) -> tuple[list[Entry], list[str]]:
    """What is to be removed, and lines on what may be meant but is not known."""
    given = [options.dataset is not None, options.request is not None, options.all]
    if sum(given) != 1:
        raise ConfigError("cache purge: give one of --dataset NAME, --request FILE and --all")
    if options.all:
        return found, []
    if options.dataset is not None:
        names = {entry.dataset for entry in found if entry.dataset}
        if options.dataset not in names:
            raise unknown("dataset in the cache", options.dataset, names)
        marks = {e.fingerprint for e in found if e.dataset == options.dataset} - {""}
        chosen = [e for e in found if e.dataset == options.dataset or e.fingerprint in marks]
    else:
        chosen = list(_by_request(options, rest))
    kinds = ("network", "bank")
    silent = sum(e.kind in kinds and not e.fingerprint and e not in chosen for e in found)
    remark = f"{silent} networks do not say what they learned from, and stay: --all removes them"
    return chosen, [remark] if silent else []


def _by_request(options: argparse.Namespace, rest: list[str]) -> Iterator[Entry]:
    """The images of the request's dataset, and the networks of it but the one that was retrained for this request."""
    if options.config is None:
        raise ConfigError("cache purge --request FILE needs the --config of the run, too")
    from rich.console import Console

    from junlearn import cli
    from junlearn.experiment.identity import identities
    from junlearn.experiment.preparing import prepare
    from junlearn.experiment.progress import Reporter
    from junlearn.experiment.schema import digest

    rows = ["--scenario.name", "rows", "--scenario.file", str(options.request)]
    own, others = cli.split_arguments(["--config", str(options.config), *rows, *rest])
    experiment = cli.experiment(own, others)
    setup = prepare(experiment, options.cache_dir, Reporter(Console(quiet=True)))
    networks = identities(setup)
    original, reference = digest(networks.original), digest(networks.retrain)
    # To know the rows, the images were decoded anew where they were not there.
    for entry in stored.entries(options.cache_dir):
        is_of_it = stored.is_of(entry, setup.dataset.marks) or entry.path.name == original
        if is_of_it and entry.path.name != reference:
            yield entry


def _row(entry: Entry) -> dict[str, Any]:
    return {**entry._asdict(), "path": str(entry.path), "changed": _date(entry.changed)}


def _line(entry: Entry) -> str:
    about = " ".join(part for part in (entry.dataset, entry.role) if part)
    kind = f"{entry.kind} {about}".strip()
    return _shown(f"{kind}, {_size(entry.bytes)}, {_date(entry.changed)}: {entry.path}")


def _date(seconds: float) -> str:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds).isoformat(" ", timespec="minutes")
    return "unknown"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 50_000 else f"{count:,} bytes"


def _shown(text: str) -> str:
    """Names as they are, but for what a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
