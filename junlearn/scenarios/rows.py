"""Deletion requests: forget the training examples that a text file names, one a line.

    # request 4711, received on 3 May
    cats/IMG_0917.jpg
    cats/IMG_0918.jpg    # the same person

Networks and records are kept by what the file says, wherever it lies: by the rows that it comes to.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from junlearn.errors import ConfigError
from junlearn.scenarios.partition import partition
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "split"]

COMMENT = re.compile(r"(^|\s)#.*")
"""A `#` within a word is a part of it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which file, and what it names examples by."""

    file: str = ""
    """A text file with an example a line; blank lines, and comments from a `#` on, are passed over."""
    by: Literal["row", "id"] = "row"
    """row: places in the training set as the run has it, from 0, so those that `held_out`, `validation` and
    `train_per_class` leave. id: the dataset's own, which nothing shifts: of an image folder the paths of the files
    below it, of TFDS the numbers at the end of its ids, of the digits the rows of `load_digits`."""


def split(config: Config, dataset: Dataset, key: Key) -> Split:
    """The Split that forgets the examples in `config.file`; `forget_test` is empty.

    Raises ConfigError, with the line, for an example that is not in the training set or is named twice; without a file,
    for one that cannot be read or names nothing, and where a dataset has no ids, or two examples share one.
    """
    if not config.file:
        raise ConfigError("scenario.file is empty; rows needs a text file with an example a line")
    known = _known(config.by, dataset)
    forget = np.zeros(len(known), bool)
    lines: dict[str, int] = {}
    for number, line in enumerate(_read(config.file), start=1):
        name = COMMENT.sub("", line).strip()
        if not name:
            continue
        here = f"{config.file}, line {number}"
        if name not in known:
            raise ConfigError(
                f"{here}: no training example of {dataset.name} has the {config.by} {name!r}; "
                f"there are {len(known):,}, such as {next(iter(known))!r}"
            )
        if name in lines:
            raise ConfigError(f"{here}: {name!r} stands on line {lines[name]} already")
        lines[name] = number
        forget[known[name]] = True
    if not lines:
        raise ConfigError(f"{config.file} names no example")
    return partition(forget, np.zeros(dataset.sources["test"].y.size, bool), key)


def _known(by: Literal["row", "id"], dataset: Dataset) -> dict[str, int]:
    """The row of every training example by what a file may call it."""
    train = dataset.sources["train"]
    if by == "row":
        return {str(row): row for row in range(train.y.size)}
    if train.id is None:
        raise ConfigError(f'{dataset.name} has no ids: name rows, with scenario.by = "row"')
    names = [dataset.names[i] for i in train.id] if dataset.names else map(str, train.id)
    known = {name: row for row, name in enumerate(names)}
    if len(known) != train.y.size:
        raise ConfigError(
            f'the ids of {dataset.name} are not of one example each: name rows, with scenario.by = "row"'
        )
    return known


def _read(file: str) -> list[str]:
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read scenario.file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"scenario.file {file} is not a text file: {error}") from error
