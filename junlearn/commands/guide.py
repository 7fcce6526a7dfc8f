"""What `--help` shows: a page with examples, the fields of one thing or one section, or every option there is."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from junlearn import cli, compat
from junlearn.commands import audit as audit_command
from junlearn.commands import cache as cache_command
from junlearn.commands import (
    catalogue,
    export,
    listing,
    prepare,
    report,
    search,
    statistics,
    sweep,
)
from junlearn.commands import check as check_command
from junlearn.commands import compare as compare_command
from junlearn.commands import ledger as ledger_command
from junlearn.commands.fieldtable import field_lines, fields_of
from junlearn.errors import ConfigError, unknown
from junlearn.plugins.contract import FIXED
from junlearn.text.paragraphs import entry

__all__ = ["command", "show", "topic"]

ASKED = ("--help", "-h")
SECTIONS = ("dataset", "model", "scenario", "surrogate", "train", "seeds", "loop")
PAGE = """\
usage: python -m junlearn.main [--config FILE] [--FIELD VALUE ...]
       python -m junlearn.main COMMAND ...

Make an image classifier forget chosen training examples, and measure how well.
Without a file: the first run, digits, one class forgotten by several methods.

  python -m junlearn.main
  python -m junlearn.main --methods ssd scrub --scenario.classes 3 --plot
  python -m junlearn.main --dataset.name mnist --model.name laf_cnn --seed 1
  python -m junlearn.main --config configs/laf/mnist_class.toml --table all.csv

  --config FILE       TOML, config.json of a run, or a name: laf/mnist_class
  --workdir DIR       where records and plots go; default: runs/FOLDER_FILE
  --cache-dir DIR     where datasets and networks are kept that all runs share
  --plot              pictures, in plots/ there; --plot-format png svg pdf
  --table FILE        all records as a table, FILE.csv or FILE.parquet
  --original FILE     the trained network that is to forget : safetensors, .pt
  --fresh [changed]   make everything anew, or what other code or versions made
  --references 5      five retrained networks, and each value's range of them
  --log csv ...       log every epoch and the results: csv, tensorboard, wandb
  --seeds 0 1 2       a run each; every option with several values is an axis
  --methods NAME ...  and --dataset.name, --model.name, --scenario.name,
                      --surrogate.name, --metrics: what there is, `list` says

Every field of the configuration is an option. With yours, for example:
{examples}

  python -m junlearn.main list [KIND [NAME]]      methods, models, datasets ...
  python -m junlearn.main sweep --config FILE     a grid; --shard, --engine ray
  python -m junlearn.main compare RUN ...         methods over runs, with ±
  python -m junlearn.main search --config FILE    settings that forget well
  python -m junlearn.main audit [--config FILE]   told from retraining, or not?
  python -m junlearn.main report DIR              what a run did, as one page
  python -m junlearn.main ledger ACTION DIR       deletion requests as they come
  python -m junlearn.main statistics FILE.npz     class statistics, for SCAR
  python -m junlearn.main prepare NAME ...        download datasets through TFDS
  python -m junlearn.main export DIR --to FILE    a network of a run for PyTorch
  python -m junlearn.main cache list|purge        what lies in the cache
  python -m junlearn.main check FILE.py           does a method do what all must
  python -m junlearn.main compat corrective ...   a released program's options
  python -m junlearn.main help COMMAND            the arguments of one of these

  --help NAME         fields of a method, model, section ...; all: every option
  --version           of junlearn, JAX and Python"""


def topic(arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """What help is asked about and the other arguments; None where none is asked for."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ASKED:
            rest = list(arguments[place + 1 :])
            if equals:
                about = value
            else:
                about = rest.pop(0) if rest and not rest[0].startswith("-") else ""
            return about, [*arguments[:place], *(a for a in rest if a not in ASKED)]
    return None


def command(arguments: list[str]) -> int:
    """Print the help on the first of the arguments; returns the exit status."""
    show(arguments[0] if arguments else "", arguments[1:])
    return 0


def show(about: str, arguments: Sequence[str] = ()) -> None:
    """Print the help on `about`; "" is the first page. `arguments` choose the configuration. Raises ConfigError.

    Leaves the program where the parser of a command or of all options prints it.
    """
    commands = {
        "audit": audit_command.parser,
        "ledger": ledger_command.parser,
        "list": listing.parser,
        "prepare": prepare.parser,
        "report": report.parser,
        "search": search.parser,
        "statistics": statistics.parser,
        "sweep": sweep.parser,
        "cache": cache_command.parser,
        "check": check_command.parser,
        "compare": compare_command.parser,
        "export": export.parser,
        "compat": compat.parser,
    }
    if about in commands:
        print(commands[about]().format_help().rstrip())
        return
    kind = catalogue.kind_of(about)
    if kind is not None and about not in SECTIONS:
        print(_fields(kind, about))
        return
    options, rest = cli.split_arguments(list(arguments))
    if about == "all":
        cli.experiment(options, [*rest, "--help"])
    experiment = cli.experiment(options, rest)
    if not about:
        print(PAGE.format(examples=_examples(experiment)))
    elif about == "method":
        for label in experiment.methods:
            print(_section(f"method.{label}", getattr(experiment.method, label)))
    elif hasattr(experiment, about) and about in SECTIONS:
        print(_section(about, getattr(experiment, about)))
    elif about in SECTIONS:
        raise ConfigError(f"help {about}: there is none yet; choose one, --{about}.name")
    else:
        names = {name for kind in catalogue.KINDS for name in catalogue.names_of(kind)}
        known = [*names, *commands, *SECTIONS, "method", "all"]
        guesses = [str(unknown(kind, about, known)) for kind in ("method", "topic")]
        guess = next((text for text in guesses if "did you mean" in text), guesses[-1])
        raise ConfigError(f"help: {guess.replace('unknown method', 'unknown topic')}")


def _fields(kind: str, name: str) -> str:
    """The fields of a thing that a configuration can name, and where the rest of it is told."""
    singular = kind.removesuffix("s")
    config = catalogue.config_of(kind, name)
    lines = [] if config is None else field_lines(fields_of(config))
    option = "method" if kind == "methods" else singular
    head = [f"fields, each an option --{option}.FIELD"] if lines else []
    if kind == "methods" and lines:
        head = ["fields, each an option --method.FIELD (of several methods --method.LABEL.FIELD)"]
    more = f"more of it: python -m junlearn.main list {singular} {name}"
    summary = catalogue.summary_of(kind, name)
    return "\n".join([entry(f"{name}: ", summary, indent=2), "", *head, *lines, "", more])


def _section(title: str, section: Any) -> str:
    """The fields of a section with the values that they have."""
    values = [
        field._replace(default=getattr(section, field.name)) for field in fields_of(type(section))
    ]
    name = getattr(section, "name", None)
    known = name is None or title.endswith(f".{name}")
    head = title if known else f"{title} ({name})"
    head += f": fields, each an option --{title.replace('_', '-')}.FIELD"
    return "\n".join([head, *(field_lines(values, "here") or ["  it has none"])])


def _examples(experiment: Any) -> str:
    """An option of each section, with the value that it has, as many as fit on four lines."""
    sections = [(name, getattr(experiment, name)) for name in ("train", "scenario", "model")]
    sections[1:1] = [(f"method.{n}", getattr(experiment.method, n)) for n in experiment.methods]
    examples = [e for title, section in sections if (e := _example(title, section))]
    lines = [""]
    for example in examples:
        if len(lines[-1]) + len(example) + 2 > 78:
            lines.append("")
        lines[-1] += f"  {example}"
    return "\n".join(lines[:5])


def _example(title: str, section: Any) -> str | None:
    names = [f.name for f in dataclasses.fields(section) if f.name not in FIXED]
    liked = ("learning_rate", "epochs") if title.startswith("method") else ("epochs", "classes")
    names.sort(key=lambda name: name not in liked)
    for name in names:
        value = getattr(section, name)
        if value is not None and value != ():
            text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            return f"--{title}.{name}".replace("_", "-") + f" {text}" if text else None
    return None
