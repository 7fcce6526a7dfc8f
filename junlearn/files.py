"""Files that are there as a whole or not at all, that say whether they are as they were written, and that are ours.

Everything that the project writes and reads back passes through here:

* `replacing` and `replace` write a file beside the old one and rename it: neither a kill nor a full disk leaves half.
* `append_line` adds to a file line by line. No function here follows a link that somebody put in a file's place.
* `seal` adds a checksum to what is written, over its content and over what it belongs to; `unseal` checks it.
* `keep_damaged` puts a file aside that is not as it was written, so that another can take its place.
* `remove_listed` removes what is known to be ours and leaves whatever somebody else has put beside it.
* `plainly_named` is for libraries that read patterns, or more, into the characters of a path.
"""

import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from junlearn.errors import DamagedError

__all__ = [
    "TEMPORARY",
    "append_line",
    "array_digest",
    "clear_temporaries",
    "holding",
    "keep_damaged",
    "naming",
    "no_link",
    "plainly_named",
    "remove_listed",
    "replace",
    "replacing",
    "seal",
    "tree",
    "unseal",
    "writers",
]

CHECKSUM = "checksum"
"""Field of a sealed object: the digest of all its other fields and of what it belongs to."""

TEMPORARY = re.compile(r"\..+\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.tmp", re.DOTALL)
"""Names of files that are still being written."""

PLAIN = re.compile(r"[\w/., -]*")
"""Paths that every library takes for what they are."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path`, in one step and on disk, when the block ends without an error.

    A link at `path` is replaced itself; what it points to stays as it is.
    """
    unique = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name}.{unique}.tmp")
    try:
        with naming(path), temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with naming(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError of the block name `path`: a write that fails names nothing, one beside it another file."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def replace(path: Path, text: str) -> None:
    """Write a file, in a directory that is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())


def append_line(path: Path, line: str) -> None:
    """Add a line to a file (made if missing), in one write that is on disk when this returns.

    After a line that was cut off in its middle a new one begins. Raises OSError (ELOOP) where `path` is a link.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    with naming(path), os.fdopen(no_link(os.fspath(path), flags), "rb+") as file:
        end = file.seek(0, os.SEEK_END)
        begun = False
        if end:
            file.seek(end - 1)
            begun = file.read(1) != b"\n"
        file.write(b"\n" * begun + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold a file (made if missing) until the block ends, against all who hold it before they change it.

    It may be replaced within the block. Raises OSError as `no_link` does.
    """
    while True:
        with open(no_link(str(path), os.O_RDWR | os.O_CREAT), "rb") as file:
            with suppress(OSError):  # A file system without locks.
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held it may have put another in its place.
            if os.path.samestat(os.fstat(file.fileno()), os.lstat(path)):
                yield
                return


def no_link(path: str, flags: int) -> int:
    """An `opener` for `open` that takes regular files alone, and waits for none.

    Raises OSError: ELOOP where the last part of `path` is a link, ENXIO or EINVAL where it is a pipe or a device.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return descriptor


def writers(directory: Path) -> Path | None:
    """What lets others than this user and root change files in `directory`: it, a directory above it or a file in it.

    None if only they can. Of the directories above it one that others may write is good enough where it is sticky, as
    /tmp is. What is not there yet is passed over.
    """
    whole = Path(os.path.abspath(directory))
    real = whole.resolve()
    for path in dict.fromkeys((whole, *whole.parents, real, *real.parents)):
        if path.exists() and not _own(path, above=path not in (whole, real)):
            return path
    entries = sorted(real.iterdir()) if real.is_dir() else []
    mine = (0, os.geteuid())
    return next((path for path in entries if path.lstat().st_uid not in mine), None)


def _own(path: Path, *, above: bool) -> bool:
    """Whether only this user and root can change the names in a directory (of those that are not theirs, if above)."""
    found = path.stat()
    if found.st_uid not in (0, os.geteuid()):
        return False
    if above and found.st_mode & stat.S_ISVTX:
        return True
    group = found.st_mode & stat.S_IWGRP and not _alone_in(found.st_gid)
    return not (group or found.st_mode & stat.S_IWOTH)


def _alone_in(group: int) -> bool:
    """Whether a group is the one that this user has for itself, as many systems make one for each."""
    try:
        user = pwd.getpwuid(os.geteuid())
        entry = grp.getgrgid(group)
    except KeyError:
        return False
    return (user.pw_gid, user.pw_name) == (group, entry.gr_name) and not (
        set(entry.gr_mem) - {user.pw_name}
    )


def clear_temporaries(directory: Path) -> None:
    """Remove what processes of this machine that are gone left behind while they wrote files in `directory`."""
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        found = TEMPORARY.fullmatch(path.name)
        ours = found is not None and found["host"] == _host()
        if found and ours and not path.is_symlink() and path.is_file():
            process = int(found["process"])
            if process != os.getpid() and not _alive(process):
                path.unlink(missing_ok=True)


def seal(content: Mapping[str, Any], belongs: str = "", *, finite: bool = True) -> str:
    """`content` as one line of JSON with its checksum, over the content and over what it `belongs` to.

    Raises ValueError for numbers that are not finite, which have no form in JSON; with `finite=False` they take the
    form that Python alone reads.
    """
    return json.dumps({**content, CHECKSUM: _checksum(content, belongs)}, allow_nan=not finite)


def unseal(text: str | bytes, belongs: str = "") -> dict[str, Any]:
    """What was sealed. Raises DamagedError, with the reason alone, where anything of it is not as it was written."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError("it is not JSON") from error
    if not isinstance(content, dict):
        raise DamagedError("it is not a JSON object")
    if CHECKSUM not in content:
        raise DamagedError("it has no checksum")
    if content.pop(CHECKSUM) != _checksum(content, belongs):
        raise DamagedError("its checksum does not fit its content")
    return content


def array_digest(array: np.ndarray) -> str:
    """blake2b of an array: dtype, shape and content."""
    contiguous = np.ascontiguousarray(array)
    content = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    content.update(contiguous.data if contiguous.size else b"")
    return content.hexdigest()


def keep_damaged(path: Path, *, stays: bool = False) -> Path:
    """Rename a file to `NAME.damaged` (a number is added where there is one), and return where it is now.

    With `stays` it is copied: for a file that is replaced in one step afterwards.
    """
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.damaged{f'-{number}' if number > 1 else ''}")
        if not os.path.lexists(aside):
            break
    if stays:
        shutil.copy2(path, aside)
    else:
        path.rename(aside)
    return aside


def tree(directory: Path) -> list[str]:
    """Names of all files below `directory`, relative to it and in order; links are named and not followed."""
    found = []
    for folder, folders, names in os.walk(directory):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [Path(folder, name).relative_to(directory).as_posix() for name in names + links]
    return sorted(found)


def remove_listed(directory: Path, names: Iterable[str]) -> None:
    """Remove the files `names` below `directory`, in this order, then every folder that is empty; the rest stays.

    What cannot be removed stays, too.
    """
    for name in names:
        with suppress(OSError):
            (directory / name).unlink()
    for folder, _, _ in os.walk(directory, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)


@contextmanager
def plainly_named(directory: Path) -> Iterator[Path]:
    """`directory` under a name of plain characters: itself, or a link to it that is there within the block.

    Orbax expands patterns (`[a]`, `**`) in whole paths, and TensorStore takes a backslash for a slash. Raises OSError
    where there is no place for the link.
    """
    if PLAIN.fullmatch(str(directory)):
        yield directory
        return
    places = [place for place in (tempfile.gettempdir(), "/tmp") if PLAIN.fullmatch(place)]
    if not places:
        raise OSError(f"the path {directory} holds characters that Orbax does not take")
    with tempfile.TemporaryDirectory(prefix="junlearn-", dir=places[0]) as place:
        link = Path(place, "directory")
        link.symlink_to(directory.absolute(), target_is_directory=True)
        yield link


def _checksum(content: Mapping[str, Any], belongs: str) -> str:
    """Equal for equal content, whatever the order of its fields and the spaces between them."""
    text = json.dumps([belongs, content], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _host() -> str:
    """A short name of this machine: process numbers mean nothing on another one that shares the disk."""
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
