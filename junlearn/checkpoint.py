"""Snapshots of a run on disk (orbax): written atomically, read back bit for bit, never taken for another run's.

Several processes of one run write a snapshot together, to a directory that all of them see.
"""

import json
import os
import re
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
from orbax.checkpoint import v1 as ocp

from junlearn import processes, quiet
from junlearn.errors import CheckpointError
from junlearn.files import replace
from junlearn.types import PyTree

__all__ = ["Store", "exists", "restore", "save"]

KEPT = 2
"""Snapshots kept: the newest, and the one before it should the newest be damaged."""

NOTE = "junlearn.json"
"""File in a snapshot: its owner, the position of the run and the checksum of every other file."""

REMEDY = "delete this folder to go on without it"


class Store(NamedTuple):
    """Where the snapshots of one run live, and whose they are."""

    directory: Path
    """Created when the first snapshot is written."""
    owner: str | None
    """Hash of the configuration that the snapshots belong to; None: take whoever's they are."""


def save(store: Store, state: PyTree, position: dict[str, Any]) -> None:
    """Write a snapshot of `state` and `position` (JSON), then delete all but the newest two.

    Raises CheckpointError if it cannot be written (a full disk); earlier snapshots are untouched then.
    """
    path, snapshots = processes.first(lambda: _next(store))
    try:
        processes.first(lambda: _make_room(store, snapshots))
        processes.together(lambda: _see(path.parent))
        with quiet.orbax():
            processes.together(lambda: ocp.save(path, state))
        processes.first(lambda: _sign(path, store, position))
    except Exception as error:
        processes.first(lambda: _sweep(store, snapshots))
        kept = f"the previous checkpoint {snapshots[-1]} is intact" if snapshots else "none existed"
        raise CheckpointError(
            f"cannot save checkpoint {path} ({_reason(error)}); {kept}"
        ) from error
    processes.first(lambda: _forget(snapshots[: len(snapshots) + 1 - KEPT]))


def exists(store: Store) -> bool:
    """Whether there is a snapshot that was written to the end."""
    return processes.first(lambda: bool(_complete(store)))


def restore(
    store: Store, target: PyTree, remedy: str = REMEDY
) -> tuple[PyTree, dict[str, Any]] | None:
    """The newest snapshot as `(state, position)`, None if there is none.

    `target` is a state of the same structure, shapes and placement. Raises CheckpointError, which ends with `remedy`,
    for a snapshot that is damaged or belongs to another configuration; nothing on disk is changed.
    """
    found = processes.first(lambda: _newest(store, remedy))
    if found is None:
        return None
    path, position = found
    processes.together(lambda: _see(path))
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), target
    )
    try:
        with quiet.orbax():
            return processes.together(lambda: _load(path, abstract)), position
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({_reason(error)}); {remedy}"
        ) from error


def _next(store: Store) -> tuple[Path, list[Path]]:
    """Where the next snapshot goes, and those that are there, after making sure whose they are."""
    snapshots = _complete(store)
    if snapshots:
        _note(snapshots[-1], store)
    number = int(snapshots[-1].name) + 1 if snapshots else 0
    return (store.directory / f"{number:08d}").absolute(), snapshots


def _make_room(store: Store, snapshots: list[Path]) -> None:
    store.directory.mkdir(parents=True, exist_ok=True)
    _sweep(store, snapshots)
    # Where it cannot make directories, Orbax leaves threads behind that wait for them, for minutes.
    with tempfile.TemporaryDirectory(prefix=".", dir=store.directory) as probe:
        os.makedirs(Path(probe, *"abcd"))


def _sign(path: Path, store: Store, position: dict[str, Any]) -> None:
    """Write the note of a snapshot, last and in one step: a snapshot without it does not count."""
    note = {"owner": store.owner, "position": position, "files": _checksums(path)}
    replace(path / NOTE, json.dumps(note))


def _forget(snapshots: list[Path]) -> None:
    for old in snapshots:
        shutil.rmtree(old)


def _newest(store: Store, remedy: str) -> tuple[Path, dict[str, Any]] | None:
    """The newest snapshot, every file of which is as it was written, and its position."""
    snapshots = _complete(store)
    if not snapshots:
        return None
    path = snapshots[-1].absolute()
    note = _note(path, store)
    for name, (size, checksum) in note["files"].items():
        file = path / name
        if not file.exists() or file.stat().st_size != size or _crc(file) != checksum:
            raise CheckpointError(f"checkpoint {path} is damaged ({name}); {remedy}")
    return path, note["position"]


def _see(directory: Path) -> None:
    """Raise CheckpointError where this process has no such directory."""
    if not directory.is_dir():
        raise CheckpointError(
            f"{directory} is not there: all processes of a run need one working and one cache directory, shared"
        )


def _load(path: Path, abstract: PyTree) -> PyTree:
    # Asked before: in the middle of loading, Orbax would leave work behind that is never done.
    stored = (leaf.shape for leaf in jax.tree.leaves(ocp.metadata(path).metadata))
    if sorted(stored) != sorted(map(_shape, jax.tree.leaves(abstract))):
        raise ValueError("it holds arrays of other shapes")
    return ocp.load(path, abstract)


def _shape(leaf: jax.ShapeDtypeStruct) -> tuple[int, ...]:
    """The shape of an array as it is stored, random keys as their data."""
    is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.eval_shape(jax.random.key_data, leaf).shape if is_key else leaf.shape


def _complete(store: Store) -> list[Path]:
    """Snapshots that were written to the end, oldest first."""
    if not store.directory.is_dir():
        return []
    numbered = (p for p in store.directory.iterdir() if re.fullmatch(r"\d{8}", p.name))
    return sorted(p for p in numbered if (p / NOTE).exists())


def _note(path: Path, store: Store) -> dict[str, Any]:
    """What stands beside the arrays of a snapshot, after making sure whose it is."""
    try:
        note = json.loads((path / NOTE).read_text(encoding="utf-8"))
        owner = note["owner"]
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged ({NOTE}); {REMEDY}") from error
    if store.owner not in (None, owner):
        raise CheckpointError(
            f"checkpoint {path} belongs to another configuration ({owner}, this run is {store.owner}); "
            "move it away or choose another directory"
        )
    return note


def _sweep(store: Store, keep: list[Path]) -> None:
    """Remove what a save that was killed or failed has left behind."""
    for entry in store.directory.glob("*"):
        if entry.is_dir() and entry not in keep:
            shutil.rmtree(entry, ignore_errors=True)


def _checksums(path: Path) -> dict[str, tuple[int, int]]:
    """Size and CRC-32 of every file below `path`."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): (file.stat().st_size, _crc(file)) for file in files}


def _crc(file: Path) -> int:
    checksum = 0
    with open(file, "rb") as content:
        while block := content.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for one line on a terminal."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
