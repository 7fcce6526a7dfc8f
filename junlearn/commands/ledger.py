"""`python -m junlearn.main ledger init|forget|status|verify|report DIR`: deletion requests as they come."""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from junlearn.commands.arguments import PROGRAM, Parser, path, text
from junlearn.errors import ConfigError

__all__ = ["command", "parser"]

EXAMPLES = f"""\
examples:
  {PROGRAM} ledger init orders --config ledger/digits --retrain-every 5
  {PROGRAM} ledger forget orders --request request.txt --by id
  {PROGRAM} ledger forget orders --request request.txt --near 10 --dry-run
  {PROGRAM} ledger status orders
  {PROGRAM} ledger verify orders"""
ACTIONS = {
    "init": "begin a ledger: the data, the original network, a method and a policy; options change the experiment",
    "forget": "carry out a request, from the current network to the next",
    "status": "where a ledger stands",
    "verify": "compute the chain and the hashes of all files again, and name the first line that does not fit",
    "report": "what was asked and done, what is left, and whether it fits, as text",
}


def parser() -> Parser:
    """The arguments of `ledger`."""
    return _parsers()[0]


def _parsers() -> tuple[Parser, dict[str, Any]]:
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


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {value!r}")
    return number


def command(arguments: list[str]) -> int:
    """Carry out what the arguments say; returns the exit status. Raises ConfigError for mistakes."""
    parsed, made = _parsers()
    options, rest = parsed.parse_known_args(arguments)
    if options.action == "init":
        return _begin(options, rest)
    if rest:
        # The parser of the action knows what a misspelt option can have meant.
        made[options.action].parse_args(rest)
    return {"forget": _carry_out, "status": _status, "verify": _verify, "report": _report}[
        options.action
    ](options)


def _begin(own: Any, others: list[str]) -> int:
    from junlearn import cli
    from junlearn.commands import places
    from junlearn.experiment import schema
    from junlearn.ledger import beginning
    from junlearn.ledger.policy import policy_of

    policy = policy_of(own.retrain_every, own.drift)
    options, rest = cli.split_arguments(others)
    for name, given in (
        ("--workdir", options.workdir),
        ("--plot", options.plot),
        ("--table", options.table),
        ("--fresh", options.fresh != "nothing"),
    ):
        if given:
            raise ConfigError(
                f"ledger init: {name} has no place here; the directory is {own.directory}"
            )
    if options.config is not None and "scenario" not in schema.read(options.config):
        # Requests say what is forgotten: a configuration for ledgers alone need not.
        setattr(options, "scenario.name", "rows")
    experiment = cli.experiment(options, rest)
    places.check_folder("ledger init", own.directory)
    if own.weights is not None and not own.weights.is_file():
        raise ConfigError(f"--weights {own.weights}: there is no such file")
    reporter = _reporter()
    cli.keep_compilations(options.cache_dir)
    beginning.begin(
        own.directory,
        experiment,
        policy=policy,
        weights=own.weights,
        private=own.private,
        cache_dir=options.cache_dir,
        reporter=reporter,
    )
    _say_where(own.directory, reporter)
    return 0


def _carry_out(options: Any) -> int:
    from junlearn import cli
    from junlearn.ledger import chain, deletion
    from junlearn.ledger.deletion import Wishes
    from junlearn.scenarios import rows
    from junlearn.scenarios.naming import By
    from junlearn.types import Dataset

    if not options.request and not (options.purge and not options.dry_run):
        raise ConfigError("ledger forget: --request FILE is missing")
    if options.purge and options.dry_run:
        raise ConfigError(
            "ledger forget: --purge changes something, and --dry-run nothing: give one"
        )
    chain.read(options.directory)
    reporter = _reporter()
    cli.keep_compilations(options.cache_dir)

    def named(file: Path, dataset: Dataset) -> list[int]:
        usual: By = "row" if dataset.sources["train"].id is None else "id"
        by: By = options.by or usual
        return rows.named(str(file), by, dataset, "--request")

    wishes = Wishes(
        private=options.private,
        with_twins=options.with_twins,
        skip_known=options.skip_known,
        near=options.near,
        dry_run=options.dry_run,
    )
    for file in options.request:
        request = partial(named, file)
        deletion.forget(options.directory, request, wishes, options.cache_dir, reporter)
    if options.purge:
        for line in deletion.purge(options.directory, options.cache_dir, reporter):
            reporter.say(line)
    if not options.dry_run:
        _say_where(options.directory, reporter)
    return 0


def _status(options: Any) -> int:
    from junlearn.ledger.facts import status
    from junlearn.text.terminal import printable

    found = status(options.directory)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for name, value in found.items():
        if name == "metrics":
            value = ", ".join(f"{metric} {number:.4f}" for metric, number in value.items())
        print(printable(f"{name.replace('_', ' ')}: {value}"))
    return 0


def _verify(options: Any) -> int:
    from junlearn.ledger.verification import verify
    from junlearn.text.terminal import printable

    found = verify(options.directory)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    counts = ", ".join(f"{found[n]:,} {n}" for n in ("lines", "requests", "networks", "purged"))
    print(f"fits: {counts}")
    for name in found["unnamed"]:
        print(
            printable(f"no line names {name}: a command was cut off, and the next one removes it")
        )
    if found["unfinished"]:
        print("a part of a line follows: a command was cut off, and the next one removes it")
    print(f"hash of the last line: {found['hash']}")
    return 0


def _report(options: Any) -> int:
    from junlearn.ledger.facts import facts
    from junlearn.ledger.facts import text as told
    from junlearn.text.terminal import printable

    found = facts(options.directory, options.cache_dir)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        sys.stdout.write(printable(told(found), keep="\n"))
    return 0 if found["verified"]["fits"] else 2


def _reporter() -> Any:
    from junlearn.experiment.progress import Reporter
    from junlearn.text.terminal import Terminal

    return Reporter(Terminal())


def _say_where(directory: Path, reporter: Any) -> None:
    from junlearn.ledger.facts import status

    found = status(directory)
    reporter.say(
        f"{os.path.join(directory, 'ledger.jsonl')}: {found['lines']} lines, {found['requests']} requests, "
        f"{found['deleted']:,} deleted; current network {found['file']}"
    )
