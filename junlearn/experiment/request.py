"""What a run was asked to forget, written down: a part of its records, and a list in its directory.

The list, `forgotten.txt`, is a request file itself: `--scenario.name rows --scenario.file forgotten.txt` with the `by`
that its head names forgets the same examples again. Like `config.json` it is that of the last run in the directory.
With `scenario.private` it holds salted hashes in their place. The salt stands in its head, so that whoever has an id
can check whether it is in the list; whoever has all ids of the dataset can try them one by one. `config_hash` of a
record is made of the rows without salt: whoever has the data can check a guess at the whole list by it.
"""

import hashlib
import re
import secrets
from pathlib import Path
from typing import Any

from junlearn.errors import ConfigError
from junlearn.experiment.resolved import NamedConfig
from junlearn.experiment.schema import digest
from junlearn.files import replacing
from junlearn.scenarios.naming import By, numbers
from junlearn.types import Dataset, Split

__all__ = ["FORGOTTEN", "listed", "salted_hash", "summary", "write"]

FORGOTTEN = "forgotten.txt"
SALT = re.compile(r"^# salt: ([0-9a-f]{32})$", re.MULTILINE)


def summary(
    scenario: NamedConfig, dataset: Dataset, split: Split, directory: Path
) -> dict[str, Any]:
    """The part of a record: the numbers of examples, hashes of what is forgotten, and the data's fingerprint.

    `rows` and `ids` are hashes of the sorted list of each, where the dataset has ids. Of a private request there is
    instead the hash of the list in `directory`, which `write` has left there: a hash of a few ids could be guessed.
    """
    counts = {"forget": len(split.forget), "retain": len(split.retain), "data": dataset.fingerprint}
    if getattr(scenario, "private", False):
        content = (directory / FORGOTTEN).read_bytes()
        return counts | {"list": hashlib.blake2b(content, digest_size=8).hexdigest()}
    ids = _ids(dataset, split)
    return counts | {
        "rows": digest(split.forget.tolist()),
        **({} if ids is None else {"ids": digest(sorted(ids))}),
    }


def write(scenario: NamedConfig, dataset: Dataset, split: Split, directory: Path) -> None:
    """Write the list of what is forgotten into `directory`. A private list that says the same already stays."""
    by, names = listed(scenario, dataset, split)
    path = directory / FORGOTTEN
    title = f"# {len(names):,} of {len(names) + len(split.retain):,} training examples of {_plain(dataset.name)}"
    head = [f"{title}, forgotten", f'# dataset {dataset.fingerprint}, scenario.by = "{by}"']
    if getattr(scenario, "private", False):
        salt = _salt(path)
        if salt is not None and _lines(path) == sorted(salted_hash(name, salt) for name in names):
            return
        salt = secrets.token_hex(16)
        how = "# each line: BLAKE2b (16 bytes) of the salt's bytes and an id, in hexadecimal digits"
        head = [*head, how, f"# salt: {salt}"]
        names = sorted(salted_hash(name, salt) for name in names)
    names = [f"./{name}" if _hidden(name) else name for name in names]
    # Names that are no UTF-8 are written with the bytes that they have on disk.
    with replacing(path) as file:
        file.write("\n".join([*head, *names, ""]).encode("utf-8", "surrogateescape"))


def salted_hash(name: str, salt: str) -> str:
    """The hash of an id (or of a row, in digits) in a private list with this salt (32 hexadecimal digits)."""
    content = bytes.fromhex(salt) + name.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def listed(scenario: NamedConfig, dataset: Dataset, split: Split) -> tuple[By, list[str]]:
    """What the examples are named by, and the names: as the request did, else by ids where each has one."""
    rows = [str(row) for row in split.forget.tolist()]
    ids = None if getattr(scenario, "by", "id") == "row" else _ids(dataset, split)
    # A name over several lines is none that a list can hold.
    if ids is None or any("\n" in name or name.endswith("\r") for name in ids):
        return "row", rows
    return "id", ids


def _ids(dataset: Dataset, split: Split) -> list[str] | None:
    """The names of the examples to forget; None where the dataset has none, or not one for each example."""
    try:
        ids = numbers(dataset)[split.forget].tolist()
    except ConfigError:
        return None
    return [dataset.names[i] if dataset.names else str(i) for i in ids]


def _hidden(name: str) -> bool:
    """Whether a reader would take a name for a comment, or its first character for a mark of the encoding."""
    return name.strip().startswith("#") or name.startswith("\ufeff")


def _plain(name: str) -> str:
    """A name in one line."""
    return " ".join(name.split())


def _salt(path: Path) -> str | None:
    found = SALT.search(path.read_text("utf-8", "replace")) if path.is_file() else None
    return None if found is None else found[1]


def _lines(path: Path) -> list[str]:
    lines = path.read_text("utf-8", "replace").split("\n")
    return [line for line in lines if line and not line.startswith("#")]
