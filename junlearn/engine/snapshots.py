"""What lies in the directory of a checkpoint store: which of it is ours, whether it is whole, and its removal.

    00000007/                    a snapshot: Orbax's files, and `junlearn.json`, the note that makes it count
    .00000008-1f2e3d4c.saving/   a snapshot that is being written, with a note of its own that says whose it is

A snapshot gets its name by renaming, when all of it is there. So whatever moment a run is killed in, what it leaves is
a whole snapshot or a folder that proves to be ours. A store refuses a directory that holds anything else, and removes
only files that it knows: those that a note lists, and those that Orbax writes.
"""

import re
import secrets
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from junlearn import files
from junlearn.errors import CheckpointError, DamagedError

__all__ = [
    "REMEDY",
    "Note",
    "begin",
    "beside",
    "check",
    "complete",
    "discard",
    "forget",
    "note",
    "publish",
    "tidy",
]

NOTE = "junlearn.json"
"""File in a snapshot: its owner, the position of the run and the checksum of every other file; sealed."""

REMEDY = "delete this folder to go on without it"

SNAPSHOT = re.compile(r"\d{8}")
SAVING = re.compile(r"\.\d{8}-[0-9a-f]{8}\.saving")
CUT_OFF = re.compile(r"\d{8}(\.orbax-checkpoint-tmp[\w.-]*)?")
"""Names that a snapshot has, or has while Orbax writes it."""

BESIDE = re.compile(r"\.lock|made\.json(\.damaged(-\d+)?)?")
"""What else the project keeps in the directory of a store."""
DROPPINGS = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|\.nfs[0-9a-f]+", re.DOTALL)
"""What systems leave wherever somebody looks."""

WRITTEN = re.compile(
    r"junlearn\.json|_[A-Z_]+|_sharding|commit_success\.txt|orbax\.checkpoint|manifest\.ocdbt|[0-9a-f]{32}|process_\d+"
)
"""Last parts of the names of the files that a save writes, Orbax's and our own."""
UNFINISHED = re.compile(r"(?P<name>.+)\.__lock|\.(?P<json>.+)\.[0-9a-f-]+\.tmp")
"""Forms that they have while they are written, TensorStore's and our own."""


class Note(NamedTuple):
    """What stands beside the arrays of a snapshot."""

    owner: str | None
    position: dict[str, Any]
    """How far the run had come."""
    files: dict[str, tuple[int, int]]
    """Size and CRC-32 of every other file, by its name below the snapshot."""


def complete(directory: Path) -> list[Path]:
    """Snapshots that were written to the end, oldest first, by their names and by their having a note."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _is_snapshot(path))


def tidy(directory: Path, owner: str | None, *, remove: bool) -> None:
    """Raise CheckpointError if `directory` holds what is not this store's; else `remove` what cut-off saves left."""
    if not directory.is_dir():
        return
    left = []
    for path in sorted(directory.iterdir()):
        if _is_snapshot(path) or beside(path):
            continue
        if not (_left_by_a_save(path, owner) or _hollow(path)):
            raise CheckpointError(
                f"{directory} holds {path.name!r}, which no checkpoint of this run has written: "
                "choose an empty directory for the store, or move it away"
            )
        left.append(path)
    for path in left if remove else ():
        discard(path)


def begin(directory: Path, name: str, owner: str | None) -> Path:
    """A new folder in `directory`, which is made if missing, to write the snapshot `name` in."""
    folder = directory / f".{name}-{secrets.token_hex(4)}.saving"
    folder.mkdir(parents=True)
    files.replace(folder / NOTE, files.seal({"owner": owner}, folder.name))
    return folder


def publish(folder: Path, name: str, owner: str | None, position: dict[str, Any]) -> None:
    """Write the note of the snapshot that is whole in `folder`, and put it in its place, in one step."""
    path = folder / name
    found = {
        file: (path.joinpath(file).stat().st_size, _crc(path / file)) for file in files.tree(path)
    }
    content = {"owner": owner, "position": position, "files": found}
    # Metrics of an epoch may be infinite; they must come back as they were.
    files.replace(path / NOTE, files.seal(content, name, finite=False))
    path.rename(folder.parent / name)
    discard(folder)


def discard(folder: Path) -> None:
    """Remove what a save has written in `folder`; what somebody else has put there stays, and the folder with it."""
    names = files.tree(folder)
    ours = [name for name in names if _written(name)]
    # The note of the folder is the last to go: without it nothing says whose the rest is.
    if len(ours) < len(names):
        ours = [name for name in ours if name != NOTE]
    files.remove_listed(folder, sorted(ours, key=lambda name: name == NOTE))


def forget(snapshot: Path) -> None:
    """Remove a snapshot, if its note proves that it is one: the files that the note lists, and the note.

    With anything else in it, that stays, and so does the note, which says what the folder was.
    """
    try:
        listed = note(snapshot).files
    except CheckpointError:
        return
    others = set(files.tree(snapshot)) - {NOTE} - set(listed)
    files.remove_listed(snapshot, [*listed, *([] if others else [NOTE])])


def note(path: Path, remedy: str = REMEDY) -> Note:
    """The note of a snapshot. Raises CheckpointError, which ends with `remedy`, where it is not as it was written."""
    try:
        content = files.unseal((path / NOTE).read_bytes(), path.name)
        return _note(content)
    except (DamagedError, OSError) as error:
        if "no checksum" in str(error):
            raise CheckpointError(
                f"checkpoint {path} was written by an earlier version of junlearn: "
                f"delete {path.parent} to make it anew"
            ) from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(
            f"checkpoint {path} is damaged ({NOTE}: {reason}); {remedy}"
        ) from error


def check(path: Path, found: Note, remedy: str = REMEDY) -> None:
    """Raise CheckpointError unless a snapshot holds the files of its note, each as it was written, and no others."""

    def damaged(reason: str) -> CheckpointError:
        return CheckpointError(f"checkpoint {path} is damaged ({reason}); {remedy}")

    there = {name for name in files.tree(path) if not DROPPINGS.fullmatch(Path(name).name)} - {NOTE}
    for name, (size, checksum) in found.files.items():
        if name not in there:
            raise damaged(f"{name} is missing")
        file = path / name
        if file.is_symlink() or file.stat().st_size != size or _crc(file) != checksum:
            raise damaged(f"{name} is not as it was written")
    if surplus := sorted(there - set(found.files)):
        raise damaged(f"{surplus[0]!r} does not belong to it")


def _note(content: dict[str, Any]) -> Note:
    owner: Any
    position: Any
    listed: Any
    owner, position, listed = (content.get(name, 0) for name in Note._fields)
    typed = (
        isinstance(owner, str | None) and isinstance(position, dict) and isinstance(listed, dict)
    )
    if not typed or not all(_is_entry(name, entry) for name, entry in listed.items()):
        raise DamagedError("its fields are not those of a note")
    return Note(owner, position, {name: (entry[0], entry[1]) for name, entry in listed.items()})


def _is_entry(name: str, entry: Any) -> bool:
    """Whether this is a file below the snapshot, with its size and checksum."""
    below = not Path(name).is_absolute() and ".." not in Path(name).parts
    return below and isinstance(entry, list) and [type(number) for number in entry] == [int, int]


def _is_snapshot(path: Path) -> bool:
    named = SNAPSHOT.fullmatch(path.name) is not None and not path.is_symlink()
    return named and (path / NOTE).is_file()


def beside(path: Path) -> bool:
    """Whether this is a file that may lie beside snapshots."""
    forms = (BESIDE, DROPPINGS, files.TEMPORARY)
    return any(form.fullmatch(path.name) for form in forms) and not path.is_dir()


def _left_by_a_save(path: Path, owner: str | None) -> bool:
    """Whether a save of `owner` (None: of anybody) made this folder: its note says so, or it holds nothing else.

    Of a save that failed, Orbax's threads can still write when the folder and its note are gone, and make it anew.
    """
    if not SAVING.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    names = files.tree(path)
    if NOTE not in names:
        return all(files.TEMPORARY.fullmatch(name) or _written(name) for name in names)
    try:
        whose = files.unseal((path / NOTE).read_bytes(), path.name).get("owner")
    except (DamagedError, OSError):
        return False
    return owner is None or whose == owner


def _hollow(path: Path) -> bool:
    """Whether this is a folder with the name of a snapshot that holds no file: nobody loses anything with it."""
    named = CUT_OFF.fullmatch(path.name) is not None and not path.is_symlink() and path.is_dir()
    return named and not files.tree(path)


def _written(name: str) -> bool:
    """Whether a save writes files of this name."""
    last = Path(name).name
    if unfinished := UNFINISHED.fullmatch(last):
        last = unfinished["name"] or unfinished["json"]
    return WRITTEN.fullmatch(last) is not None


def _crc(file: Path) -> int:
    checksum = 0
    with open(file, "rb") as content:
        while block := content.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum
