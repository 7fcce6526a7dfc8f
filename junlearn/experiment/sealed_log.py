"""Files of one JSON object a line, each sealed (`junlearn.files`) and appended when it is complete.

What is not a line as it was written is left out, wherever a file is read, and said; who writes to the file keeps such a
one beside and puts one of the good lines in its place.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from junlearn import files
from junlearn.errors import DamagedError

__all__ = ["Kind", "Remark", "amend", "append", "read", "repair"]

Remark = Callable[[str], None]
"""What is told of a file, a line each time."""

Line = Mapping[str, Any]


class Kind(NamedTuple):
    """What the lines of a file are."""

    check: Callable[[dict[str, Any]], None]
    """Raises DamagedError, with the reason, for a sealed object that is none of them."""
    name: Callable[[Line], Hashable]
    """What two lines have in common of which the newer counts."""


class _Scan(NamedTuple):
    """What the lines of a file are."""

    good: list[dict[str, Any]]
    damaged: list[tuple[int, str]]
    """Number of a line, and what is wrong with it."""


def read(path: Path, kind: Kind, remark: Remark) -> list[dict[str, Any]]:
    """All lines of a file, none if it is not there; of one name the last.

    Lines that are not as they were written are left out, which `remark` is told. Nothing is changed on disk.
    """
    found = _scan(path, kind)
    if found.damaged:
        remark(_left_out(path, found))
    return _newest(found, kind)


def repair(path: Path, kind: Kind, remark: Remark) -> list[dict[str, Any]]:
    """As `read`, for who writes to the file next: damaged, it is kept as `NAME.damaged` beside its good lines."""
    if not path.exists():
        return []
    with files.holding(path):
        return _repair(path, kind, remark)


def append(path: Path, line: Line, kind: Kind, remark: Remark) -> None:
    """Add a line, in one write that is on disk when this returns. Its numbers must be finite."""
    with files.holding(path):
        if not _ends_with_a_line(path):
            _repair(path, kind, remark)
        files.append_line(path, files.seal(line))


def amend(path: Path, line: Line, kind: Kind, remark: Remark) -> None:
    """Put `line` in the place of the one of the same name; the file is replaced in one step."""
    with files.holding(path):
        known = {kind.name(other): other for other in _repair(path, kind, remark)}
        _write(path, list((known | {kind.name(line): dict(line)}).values()))


def _scan(path: Path, kind: Kind) -> _Scan:
    found = _Scan([], [])
    # A pipe in its place would never end.
    content = path.read_bytes() if path.is_file() else b""
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        # Blank lines and carriage returns are an editor's, and say nothing else than what was written.
        if line := line.strip():
            try:
                found.good.append(_parse(line, kind))
            except DamagedError as error:
                found.damaged.append((number, str(error)))
    return found


def _parse(line: bytes, kind: Kind) -> dict[str, Any]:
    """What a line holds. Raises DamagedError."""
    try:
        content = files.unseal(line)
    except DamagedError as error:
        if "no checksum" in str(error):
            raise DamagedError("it is not ours, or written before records had checksums") from error
        raise
    kind.check(content)
    return content


def _newest(found: _Scan, kind: Kind) -> list[dict[str, Any]]:
    return list({kind.name(line): line for line in found.good}.values())


def _repair(path: Path, kind: Kind, remark: Remark) -> list[dict[str, Any]]:
    found = _scan(path, kind)
    if found.damaged:
        aside = files.keep_damaged(path, stays=True)
        remark(f"{_left_out(path, found)}; the file as it was is {aside.name}")
        _write(path, _newest(found, kind))
    return _newest(found, kind)


def _write(path: Path, lines: Sequence[Line]) -> None:
    files.replace(path, "".join(files.seal(line) + "\n" for line in lines))


def _left_out(path: Path, found: _Scan) -> str:
    count = len(found.damaged)
    number, reason = found.damaged[0]
    lines = "1 line is" if count == 1 else f"{count} lines are"
    return (
        f"{path}: {lines} left out, not as written (line {number}: {reason}); "
        "the same command makes such records again"
    )


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file, suppress(OSError):
        file.seek(-1, 2)
        return file.read(1) == b"\n"
    return True
