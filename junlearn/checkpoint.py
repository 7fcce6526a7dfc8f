"""Snapshots of a run on disk (orbax): written atomically, read back bit for bit, never taken for another run's."""

import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from junlearn.errors import CheckpointError
from junlearn.types import PyTree

__all__ = ["Store", "restore", "save"]

KEPT = 2
"""Snapshots kept: the newest, and the one before it should the newest be damaged."""


class Store(NamedTuple):
    """Where the snapshots of one run live, and whose they are."""

    directory: Path
    """Created when the first snapshot is written."""
    owner: str
    """Hash of the configuration that the snapshots belong to."""


def _numbered(store: Store) -> list[Path]:
    """Complete snapshots, oldest first (orbax gives a snapshot its name when all of it is written)."""
    if not store.directory.is_dir():
        return []
    return sorted(p for p in store.directory.iterdir() if re.fullmatch(r"\d{8}", p.name))


def _checksum(state: PyTree) -> int:
    """CRC-32 over the bytes of all leaves, in tree order."""
    total = 0
    for leaf in jax.tree.leaves(state):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        values = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        total = zlib.crc32(np.ascontiguousarray(values).view(np.uint8).reshape(-1), total)
    return total


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for one line on a terminal."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]


def _note(path: Path, store: Store) -> dict[str, Any]:
    """What was written beside the arrays of a snapshot, after making sure whose it is."""
    try:
        note = ocp.metadata(path).custom_metadata
        owner = note["owner"]
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({_reason(error)}); delete this folder to go on without it"
        ) from error
    if owner != store.owner:
        raise CheckpointError(
            f"checkpoint {path} belongs to another configuration ({owner}, this run is {store.owner}); "
            "move it away or choose another directory"
        )
    return note


def save(store: Store, state: PyTree, position: dict[str, Any]) -> None:
    """Write a snapshot of `state` and `position` (JSON), then delete all but the newest two.

    Raises CheckpointError if it cannot be written (a full disk); earlier snapshots are untouched then.
    """
    snapshots = _numbered(store)
    if snapshots:
        _note(snapshots[-1], store)
    number = int(snapshots[-1].name) + 1 if snapshots else 0
    path = (store.directory / f"{number:08d}").absolute()
    note = {"owner": store.owner, "checksum": _checksum(state), "position": json.dumps(position)}
    try:
        store.directory.mkdir(parents=True, exist_ok=True)
        ocp.save(path, state, custom_metadata=note)
    except Exception as error:
        shutil.rmtree(path, ignore_errors=True)
        kept = f"the previous checkpoint {snapshots[-1]} is intact" if snapshots else "none existed"
        raise CheckpointError(f"cannot save checkpoint {path} ({_reason(error)}); {kept}") from error
    finally:
        for leftover in store.directory.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(leftover, ignore_errors=True)
    for old in snapshots[: len(snapshots) + 1 - KEPT]:
        shutil.rmtree(old)


def restore(store: Store, target: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
    """The newest snapshot as `(state, position)`, None if there is none.

    `target` is a state of the same structure, shapes and placement. Raises CheckpointError for a snapshot that is
    damaged or belongs to another configuration; nothing on disk is changed.
    """
    snapshots = _numbered(store)
    if not snapshots:
        return None
    path = snapshots[-1].absolute()
    note = _note(path, store)
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), target
    )
    try:
        state = ocp.load(path, abstract)
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({_reason(error)}); delete this folder to go on without it"
        ) from error
    if _checksum(state) != note["checksum"]:
        raise CheckpointError(
            f"checkpoint {path} is damaged (its checksum is wrong); delete this folder to go on without it"
        )
    return state, json.loads(note["position"])
