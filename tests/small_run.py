"""The command line on a small configuration: what it says and leaves on disk."""

import contextlib
import io
from pathlib import Path

from junlearn import cli, files
from junlearn.main import main

SMALL = """
methods = ["finetune", "ssd"]
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "class"
classes = [3]
[train]
epochs = 3
batch_size = 128
[method.finetune]
epochs = 1
"""


def call(capsys, *arguments):
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def records(workdir: Path):
    lines = (workdir / "records.jsonl").read_text().splitlines()
    return [files.unseal(line) for line in lines]


def enter(directory: Path, patch) -> None:
    """Make a directory the current one: with the small configuration and a cache of its own."""
    patch.chdir(directory)
    patch.setenv("JUNLEARN_CACHE_DIR", str(directory / "cache"))
    patch.setenv("COLUMNS", "200")
    patch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    (directory / "small.toml").write_text(SMALL)


def output(*arguments: str) -> str:
    """What the command line prints when all goes well."""
    stream, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(errors):
        status = main(list(arguments))
    assert (status, errors.getvalue()) == (0, "")
    return stream.getvalue()
