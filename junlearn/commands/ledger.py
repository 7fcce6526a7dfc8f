"""`python -m junlearn.main ledger init|forget|status|verify|report|export DIR`: deletion requests as they come."""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from junlearn.commands.ledger_arguments import parser, parsers
from junlearn.errors import ConfigError

__all__ = ["command", "parser"]


def command(arguments: list[str]) -> int:
    """Carry out what the arguments say; returns the exit status. Raises ConfigError for mistakes."""
    parsed, made = parsers()
    options, rest = parsed.parse_known_args(arguments)
    if options.action == "init":
        return _begin(options, rest)
    if rest:
        # The parser of the action knows what a misspelt option can have meant.
        made[options.action].parse_args(rest)
    actions = {"forget": _carry_out, "status": _status, "verify": _verify, "report": _report}
    return (actions | {"export": _write})[options.action](options)


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
        ("--plot-format", options.plot_format),
        ("--table", options.table),
        ("--fresh", options.fresh != "nothing"),
        ("--log", options.log),
    ):
        if given:
            raise ConfigError(
                f"ledger init: {name} has no place here; the directory is {own.directory}"
            )
    if options.config is not None and "scenario" not in schema.read(options.config):
        # Requests say what is forgotten: a configuration for ledgers alone need not.
        setattr(options, "scenario.name", "rows")
    if own.weights is not None:
        if not own.weights.is_file():
            raise ConfigError(f"--weights {own.weights}: there is no such file")
        rest = [*rest, "--original", str(own.weights.absolute())]
    experiment = cli.experiment(options, rest)
    places.check_folder("ledger init", own.directory)
    reporter = _reporter()
    cli.keep_compilations(options.cache_dir)
    beginning.begin(
        own.directory,
        experiment,
        policy=policy,
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
        return list(rows.named(str(file), by, dataset, "--request"))

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
    from junlearn.ledger.statement import status
    from junlearn.ledger.statement import status_text as told
    from junlearn.text.terminal import printable

    found = status(options.directory)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    sys.stdout.write(printable(told(found), keep="\n"))
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
    from junlearn.ledger.statement import facts
    from junlearn.ledger.statement import text as told
    from junlearn.text.terminal import printable

    found = facts(options.directory, options.cache_dir)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        sys.stdout.write(printable(told(found), keep="\n"))
    return 0 if found["verified"]["fits"] else 2


def _write(options: Any) -> int:
    from junlearn import ledger
    from junlearn.commands import places
    from junlearn.models.weight_export import check_library, named_arrays, write
    from junlearn.text.terminal import printable

    check_library(options.to)
    places.check_file("--to", options.to)
    found = ledger.open(options.directory)
    model, variables = found.current()
    if not model.tables:
        raise ConfigError(
            "ledger export: PyTorch has no names for this network (the shards of sisa are several)"
        )
    arrays = named_arrays(model, variables, names=options.names, dtype=options.dtype)
    now = found.status()
    kept = ("dataset", "model", "method", "requests", "deleted", "network", "hash", "changed")
    write(options.to, arrays, {"ledger": {name: now[name] for name in kept}})
    print(printable(f"{now['network']}: {len(arrays)} arrays: {options.to}"))
    return 0


def _reporter() -> Any:
    from junlearn.experiment.progress import Reporter
    from junlearn.text.terminal import Terminal

    return Reporter(Terminal())


def _say_where(directory: Path, reporter: Any) -> None:
    from junlearn.ledger.statement import status

    found = status(directory)
    reporter.say(
        f"{os.path.join(directory, 'ledger.jsonl')}: {found['lines']} lines, {found['requests']} requests, "
        f"{found['deleted']:,} deleted; current network {found['file']}"
    )
