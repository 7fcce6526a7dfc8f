"""`roll.npz`: hashes of the names and of the content of all training examples that a ledger began with.

Whoever deletes images from a ledger deletes them from the dataset too. Then its fingerprint is another one, and rows
move up. The roll tells whether what is left is what it was, and puts each example back in its old row. Hashes are
salted, as in private lines: whoever has an image, or a name, can check whether it was there.
"""

import hashlib
import io
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from junlearn.datasets.cache import digests
from junlearn.errors import ConfigError, DamagedError
from junlearn.files import replacing
from junlearn.ledger.names import Names, shown
from junlearn.types import Data, Dataset

__all__ = ["ROLL", "Roll", "other_digests", "read", "restored", "write"]

ROLL = "roll.npz"
GONE = -1
"""Label of a row whose example is no longer in the dataset."""


class Roll(NamedTuple):
    """Of the N examples that a ledger began with, by row."""

    names: list[str]
    """Salted hashes, in hexadecimal digits."""
    content: list[str]
    """Those of pixels and label."""


def write(directory: Path, dataset: Dataset, names: Names) -> str:
    """Write the roll of a dataset, and return the SHA-256 of its file."""
    buffer = io.BytesIO()
    hashes = {"names": names.hashes(), "content": _content(dataset, names.salt)}
    np.savez(buffer, **{name: _packed(each) for name, each in hashes.items()})  # type: ignore[arg-type]
    with replacing(directory / ROLL) as file:
        file.write(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def read(directory: Path, digest: str) -> Roll:
    """The roll of a ledger. Raises DamagedError where it is not the file that line 1 names."""
    path = directory / ROLL
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DamagedError(f"{path} (line 1) is missing") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise DamagedError(f"{path} is not as it was when the ledger began (line 1)")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return Roll(*([row.tobytes().hex() for row in archive[name]] for name in Roll._fields))


def other_digests(dataset: Dataset) -> dict[str, str]:
    """Digests of all arrays but those of the training set, and numbers of files, which move up with every one less."""
    others = {
        name: data._replace(id=None) for name, data in dataset.sources.items() if name != "train"
    }
    return digests(others)


def restored(roll: Roll, dataset: Dataset, names: Names, deleted: Collection[int]) -> Dataset:
    """The dataset with every example in the row that it had, and nothing in rows whose examples are gone.

    `deleted` are the rows that may be gone. Raises ConfigError where anything else has changed.
    """
    place = {name: row for row, name in enumerate(roll.names)}
    hashes = names.hashes()
    new = [names.plain[i] for i, name in enumerate(hashes) if name not in place]
    if new:
        raise ConfigError(
            f"the data have images that were not there when the ledger began: {shown(new)}"
        )
    rows = np.array([place[name] for name in hashes], int)
    content = _content(dataset, names.salt)
    other = [names.plain[i] for i, row in enumerate(rows) if content[i] != roll.content[row]]
    if other:
        raise ConfigError(
            f"images of the data are not as they were when the ledger began: {shown(other)}"
        )
    gone = set(range(len(roll.names))) - set(rows.tolist())
    if lost := gone - set(deleted):
        raise ConfigError(
            f"{len(lost)} images of the data are gone that the ledger has not deleted, first that of row {min(lost)}"
        )
    train = _spread(dataset.sources["train"], rows, len(roll.names))
    return dataset._replace(sources={**dataset.sources, "train": train})


def _spread(data: Data, rows: np.ndarray, count: int) -> Data:
    """The columns with `count` rows: zeros, and a label that no class has, where there is no example."""

    def column(values: Any, empty: Any) -> Any:
        if values is None:
            return None
        values = np.asarray(values)
        spread = np.full((count, *values.shape[1:]), empty, values.dtype)
        spread[rows] = values
        return spread

    ids = column(data.id, 0)
    gone = np.setdiff1d(np.arange(count), rows)
    # Each has a number of its own, which is none of the dataset's.
    ids[gone] = -1 - gone
    return Data(column(data.x, 0), column(data.y, GONE), ids, column(data.fine, 0))


def _content(dataset: Dataset, salt: str) -> list[str]:
    train = dataset.sources["train"]
    start = hashlib.blake2b(bytes.fromhex(salt), digest_size=16)
    found = []
    for x, y in zip(np.ascontiguousarray(train.x), np.asarray(train.y), strict=True):
        each = start.copy()
        each.update(int(y).to_bytes(8, "big", signed=True))
        each.update(x.tobytes())
        found.append(each.hexdigest())
    return found


def _packed(hashes: list[str]) -> np.ndarray:
    """uint8[N,16]."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), 16)
