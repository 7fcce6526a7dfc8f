"""Deletion requests: forget the training examples that a text file names, one a line.

    # request 4711, received on 3 May
    cats/IMG_0917.jpg
    cats/IMG_0918 #2.jpg

A line that begins with `#` is a comment; within a line it is a part of the name. The file is UTF-8, or what its
byte-order mark says, and its lines end in a line feed, or in a carriage return and a line feed.
`junlearn.scenarios.naming` says how a line finds its example.

Networks and records are kept by what the file says, wherever it lies: by the rows that it comes to.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from junlearn.datasets.text_files import lines_of, not_utf8
from junlearn.errors import ConfigError
from junlearn.scenarios.naming import By, finder
from junlearn.scenarios.partition import partition
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "named", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which file, and what it names examples by."""

    file: str = ""
    """A text file with an example a line; blank lines, and lines that begin with a `#`, are passed over."""
    by: By = "row"
    """row: places in the training set as the run has it, from 0, so those that `held_out`, `validation` and
    `train_per_class` leave. id: the dataset's own, which nothing shifts: of an image folder the paths of the files
    below it, of a table its column `id` or else the paths, of arrays in a file their `ids` or else the rows of
    `x_train`, of TFDS the numbers at the end of its ids, of the digits the rows of `load_digits`."""
    private: bool = False
    """Keep the list of what was forgotten in the run's directory as salted hashes: whoever knows an id can check it,
    and nobody can read the list without trying ids. Without it the ids themselves are kept."""


def split(config: Config, dataset: Dataset, key: Key) -> Split:
    """The Split that forgets the examples in `config.file`; `forget_test` is empty.

    Raises ConfigError, with the line, for an example that is not in the training set (and says where it is) or is named
    twice; without a file, for one that cannot be read or names nothing, and where a dataset has no ids, or two examples
    share one.
    """
    if not config.file:
        raise ConfigError("scenario.file is empty; rows needs a text file with an example a line")
    forget = np.zeros(dataset.sources["train"].y.size, bool)
    forget[list(named(config.file, config.by, dataset))] = True
    return partition(forget, np.zeros(dataset.sources["test"].y.size, bool), key)


def named(file: str, by: By, dataset: Dataset, option: str = "scenario.file") -> dict[int, int]:
    """The rows that a request file names, in its order, and the line of each.

    `option` is what the file was given by, for messages. Raises ConfigError as `split` does.
    """
    find = finder(by, dataset)
    lines: dict[int, int] = {}
    names = frozenset(dataset.names) if by == "id" else frozenset()
    content = lines_of(Path(file), f"{option} {file}", ConfigError)
    for number, line in enumerate(content, start=1):
        here = f"{file}, line {number}"
        if _is_comment(line):
            if line.strip() in names:
                raise ConfigError(
                    f"{here}: {line.strip()!r} is a comment, for it begins with #, and the name of an image: write "
                    f"'./{line.strip()}' to name it"
                )
            continue
        try:
            row = find(line)
        except ConfigError as error:
            raise ConfigError(f"{here}: {not_utf8(line) or error}") from None
        if row in lines:
            raise ConfigError(f"{here}: {line.strip()!r} stands on line {lines[row]} already")
        lines[row] = number
    if not lines:
        raise ConfigError(f"{file} names no example")
    return lines


def _is_comment(line: str) -> bool:
    """Whether a line is a comment or blank; a byte-order mark is no text."""
    return line.strip("\ufeff \t\r\v\f").startswith("#") or not line.strip().strip("\ufeff")
