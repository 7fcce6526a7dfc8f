"""`ledger.jsonl`: lines that are only ever added, each with the hash of the one before.

A line is one JSON object with its number, the SHA-256 of the line before (of its bytes, without the line feed) and a
checksum of its own (`junlearn.files`). `head.json` beside it says how many lines there are and the hash of the last:
without it, a file that ends too early would look whole. The head is written after the line. So a process that is
killed leaves either no line, a part of one, which the next writer removes, or a head that is one line behind.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from junlearn import files
from junlearn.errors import ConfigError, DamagedError

__all__ = [
    "HEAD",
    "LEDGER",
    "START_OF_CHAIN",
    "Chain",
    "Line",
    "append",
    "is_there",
    "mend",
    "read",
]

LEDGER = "ledger.jsonl"
HEAD = "head.json"
START_OF_CHAIN = "0" * 64
"""What stands in the first line for the hash of the one before."""

Line = dict[str, Any]


class Chain(NamedTuple):
    """All lines of a ledger, every one of which fits to the one before."""

    lines: tuple[Line, ...]
    hash: str
    """Of the last line; it vouches for all lines before it."""
    unfinished: bool = False
    """Whether a part of one more line follows, from a process that was killed while it wrote."""
    behind: bool = False
    """Whether the head is that of the line before the last."""


def is_there(directory: Path) -> bool:
    """Whether a ledger was begun in a directory."""
    return os.path.lexists(directory / LEDGER) or os.path.lexists(directory / HEAD)


def read(directory: Path) -> Chain:
    """The lines of the ledger in a directory.

    Raises ConfigError where there is none, DamagedError with the first line that is not as it was written.
    """
    path = directory / LEDGER
    if not is_there(directory):
        raise ConfigError(f"{directory} is no ledger: `ledger init {directory}` begins one")
    try:
        *texts, rest = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    hashes = [START_OF_CHAIN]
    lines = []
    for number, text in enumerate(texts, start=1):
        lines.append(_parse(path, number, text, hashes[-1]))
        hashes.append(_hash(text))
    head = _head(directory)
    count = len(lines)
    if head is None:
        if count > 1:
            raise DamagedError(f"{directory / HEAD}, which names the last line, is missing")
        head = {"lines": 0, "hash": START_OF_CHAIN}
    if head["lines"] > count:
        raise DamagedError(
            f"{path} is cut off: line {count + 1} of {head['lines']} is {'cut off' if rest else 'missing'}"
        )
    if head["lines"] < count - 1:
        raise DamagedError(
            f"{path}, line {head['lines'] + 1}: {directory / HEAD} knows nothing of it"
        )
    if head["hash"] != hashes[head["lines"]]:
        raise DamagedError(f"{path}, line {head['lines']}: it is not the one that {HEAD} names")
    return Chain(tuple(lines), hashes[-1], bool(rest), head["lines"] < count)


def append(directory: Path, chain: Chain, content: Mapping[str, Any]) -> Chain:
    """Add a line, which is on disk when this returns. The caller holds the directory, and has mended the chain."""
    line = {"number": len(chain.lines) + 1, "previous": chain.hash, **content}
    text = files.seal(line)
    files.append_line(directory / LEDGER, text)
    after = Chain((*chain.lines, line), _hash(text.encode()))
    _write_head(directory, after)
    return after


def mend(directory: Path, chain: Chain) -> Chain:
    """Remove the part of a line that a killed process left, and let the head name the last line."""
    if chain.unfinished:
        path = directory / LEDGER
        whole = path.read_bytes()
        with files.replacing(path) as file:
            file.write(whole[: whole.rfind(b"\n") + 1])
    if chain.behind:
        _write_head(directory, chain)
    return chain._replace(unfinished=False, behind=False)


def _parse(path: Path, number: int, text: bytes, previous: str) -> Line:
    try:
        line = files.unseal(text)
    except DamagedError as error:
        raise DamagedError(f"{path}, line {number}: {error}") from error
    if line.get("number") != number:
        raise DamagedError(f"{path}, line {number}: it says that it is line {line.get('number')}")
    if line.get("previous") != previous:
        before = f"line {number - 1}" if number > 1 else "the beginning of a ledger"
        raise DamagedError(f"{path}, line {number}: it does not follow {before}")
    if not isinstance(line.get("kind"), str):
        raise DamagedError(f"{path}, line {number}: it is no line of a ledger")
    return line


def _head(directory: Path) -> dict[str, Any] | None:
    path = directory / HEAD
    with suppress(FileNotFoundError):
        try:
            head = files.unseal(path.read_bytes())
        except DamagedError as error:
            raise DamagedError(f"{path}: {error}") from error
        if not isinstance(head.get("lines"), int) or not isinstance(head.get("hash"), str):
            raise DamagedError(f"{path}: it is no head of a ledger")
        return head
    return None


def _write_head(directory: Path, chain: Chain) -> None:
    head = {"lines": len(chain.lines), "hash": chain.hash}
    files.replace(directory / HEAD, files.seal(head) + "\n")


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
