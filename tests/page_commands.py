"""The commands of the pages, each read by the parser of its program: nothing is run and no file is made."""

import functools
import itertools
import re
import subprocess
import sys
import tomllib

from junlearn import cli, compat
from junlearn.commands import (
    audit,
    axes,
    cache,
    catalogue,
    export,
    guide,
    listing,
    prepare,
    report,
    statistics,
)
from junlearn.commands import check as check_command
from junlearn.commands import compare as compare_command
from junlearn.commands import ledger as ledger_command
from junlearn.commands import search as search_command
from junlearn.commands import sweep as sweep_command
from junlearn.datasets import DATASETS
from junlearn.experiment import schema, sweep
from junlearn.search.question import question_of
from tests.conftest import ROOT

__all__ = ["check"]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@functools.cache
def options_of(module):
    """The options that a program lists."""
    done = subprocess.run(
        [sys.executable, "-m", *module.split(), "--help"],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", done.stdout))


def options(words):
    return [word.partition("=")[0] for word in words if word.startswith("-")]


def check_pip(words):
    assert words[0] == "install"
    assert set(options(words)) <= options_of("pip install")
    for place in words[1:]:
        extras = re.search(r"\[(.+)\]$", place)
        for extra in extras[1].split(",") if extras else ():
            assert extra in PROJECT["project"]["optional-dependencies"], place


def check_pytest(words, known):
    assert set(options(words)) <= options_of("pytest"), words
    for option, value in itertools.pairwise(words):
        if option == "-m":
            assert set(re.findall(r"\w+", value)) - {"and", "or", "not"} <= known
    for word in words:
        if "/" in word and not word.startswith("-"):
            assert (ROOT / word.partition("::")[0]).exists(), word


def check_benchmark(script, words):
    source = (ROOT / script).read_text(encoding="utf-8")
    assert all(f'"{option}"' in source for option in options(words)), words


def check_run(words):
    """Parsed as the program would; a configuration is read, and no file is made."""
    if axes.asked(words):
        assert axes.planned(words).points
        return
    options, rest = cli.split_arguments(words)
    assert cli.experiment(options, rest).methods


def check_audit(words):
    _, others = audit.parser().parse_known_args(words)
    options, rest = cli.split_arguments(others)
    experiment = cli.experiment(options, rest, optional="audit")
    assert experiment.methods and experiment.audit.models


def check_sweep(words):
    options = sweep_command.parser().parse_args(words)
    sweep.check(sweep.expand(schema.read(options.config)), options.select, options.over)


def check_search(words):
    options = search_command.parser().parse_args(words)
    assert question_of(schema.read(options.config), options.trials).spaces


def check_statistics(words):
    own, others = statistics.parser().parse_known_args(words)
    assert own.file.suffix == ".npz"
    check_run(others)


def check_list(words):
    options = listing.parser().parse_args(words)
    assert catalogue.chosen(options.kind, options.name).text


def check_prepare(words):
    assert set(prepare.parser().parse_args(words).names) <= set(DATASETS)


def check_cache(words):
    options, rest = cache.parser().parse_known_args(words)
    if options.action == "list" or options.request is None:
        assert not rest
    else:
        check_run(["--config", str(options.config), *rest])


def check_report(words):
    if words[:1] == ["verify"]:
        assert report.verify_parser().parse_args(words[1:]).key
    else:
        assert report.parser().parse_args(words).directory


def check_ledger(words):
    own, others = ledger_command.parser().parse_known_args(words)
    if own.action == "init":
        check_run(others)
    else:
        assert not others, words


COMMANDS = {
    "audit": check_audit,
    "cache": check_cache,
    "check": check_command.parser().parse_args,
    "compare": compare_command.parser().parse_args,
    "compat": compat.parse,
    "export": export.parser().parse_args,
    "help": lambda words: guide.show(words[0] if words else "", words[1:]),
    "ledger": check_ledger,
    "list": check_list,
    "prepare": check_prepare,
    "report": check_report,
    "search": check_search,
    "statistics": check_statistics,
    "sweep": check_sweep,
}


def check_program(words):
    if words[:1] in (["--version"], ["--help"]):
        return
    if words and not words[0].startswith("-"):
        COMMANDS[words[0]](words[1:])
    else:
        check_run(words)


def check(words, known):
    """A command, by the parsers of its own program; `known` are the markers of the suite."""
    program = words[:3] if words[:2] == ["python", "-m"] else words[:1]
    match program[-1]:
        case "junlearn.main" | "junlearn":
            check_program(words[len(program) :])
        case "pip":
            check_pip(words[len(program) :])
        case "pytest":
            check_pytest(words[len(program) :], known)
        case "python":
            check_benchmark(words[1], words[2:])
        case _:
            raise AssertionError(f"no parser for {words}")
