"""Snapshots of a run on disk (orbax): written atomically, read back bit for bit, never taken for another run's.

Several processes of one run write a snapshot together, to a directory that all of them see.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from junlearn.engine import processes, quiet, snapshots
from junlearn.engine.snapshots import REMEDY
from junlearn.errors import CheckpointError
from junlearn.files import plainly_named
from junlearn.types import PyTree

__all__ = ["Store", "check", "clear", "exists", "restore", "save"]

KEPT = 2
"""Snapshots kept: the newest, and the one before it should the newest be damaged."""


class Store(NamedTuple):
    """Where the snapshots of one run live, and whose they are. One run at a time writes there."""

    directory: Path
    """Created when the first snapshot is written; one that holds anything else is refused."""
    owner: str | None
    """Hash of the configuration that the snapshots belong to; None: take whoever's they are."""


def save(store: Store, state: PyTree, position: dict[str, Any]) -> None:
    """Write a snapshot of `state` and `position` (JSON), then delete all but the newest two.

    Raises CheckpointError if the directory holds what is not the store's, before anything is written, or if it cannot
    be written (a full disk); earlier snapshots are untouched then.
    """
    name, earlier = processes.first(lambda: _next(store))
    folder: Path | None = None
    try:
        folder = processes.first(lambda: _begin(store, name))
        processes.together(lambda: _write(folder, name, state))
        processes.first(lambda: snapshots.publish(folder, name, store.owner, position))
    except Exception as error:
        if folder is not None:
            processes.first(lambda: snapshots.discard(folder))
        kept = f"the previous checkpoint {earlier[-1]} is intact" if earlier else "none existed"
        raise CheckpointError(
            f"cannot save checkpoint {store.directory / name} ({_reason(error)}); {kept}"
        ) from error
    for old in earlier[: len(earlier) + 1 - KEPT]:
        processes.first(lambda: snapshots.forget(old))  # noqa: B023


def clear(store: Store) -> None:
    """Delete all snapshots of `store`. Raises CheckpointError where they are another configuration's."""
    for snapshot in snapshots.complete(store.directory):
        _own(snapshot, store, REMEDY)
        snapshots.forget(snapshot)


def exists(store: Store) -> bool:
    """Whether there is a snapshot that was written to the end."""
    return processes.first(lambda: bool(snapshots.complete(store.directory)))


def check(store: Store, remedy: str = REMEDY) -> None:
    """Raise CheckpointError, which ends with `remedy`, if the newest snapshot is damaged or another configuration's."""
    processes.first(lambda: _newest(store, remedy))


def restore(
    store: Store, target: PyTree, remedy: str = REMEDY
) -> tuple[PyTree, dict[str, Any]] | None:
    """The newest snapshot as `(state, position)`, None if there is none.

    `target` is a state of the same structure, shapes and placement. Raises CheckpointError, which ends with `remedy`,
    for a snapshot that is damaged or belongs to another configuration, and for a directory that `save` would refuse
    (not for a store of any owner, which is for reading); nothing on disk is changed.
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
            loaded = processes.together(lambda: _load(path, abstract))
        return jax.tree.map(_as_placed, loaded, target), position
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({_reason(error)}); {remedy}"
        ) from error


def _next(store: Store) -> tuple[str, list[Path]]:
    """The name of the next snapshot, and those that are there, after making sure whose they are."""
    snapshots.tidy(store.directory, store.owner, remove=False)
    earlier = snapshots.complete(store.directory)
    if earlier:
        _own(earlier[-1], store, REMEDY)
    number = int(earlier[-1].name) + 1 if earlier else 0
    return f"{number:08d}", earlier


def _begin(store: Store, name: str) -> Path:
    """Where the snapshot is written, once what earlier saves have left is gone."""
    snapshots.tidy(store.directory, store.owner, remove=True)
    folder = snapshots.begin(store.directory.absolute(), name, store.owner)
    # Where it cannot make directories, Orbax leaves threads behind that wait for them, for minutes.
    probe = folder.joinpath(*"abcd")
    os.makedirs(probe)
    os.removedirs(probe)
    return folder


def _write(folder: Path, name: str, state: PyTree) -> None:
    from orbax.checkpoint import v1 as ocp  # half a second, and only for what is saved

    _see(folder)
    with plainly_named(folder) as place, quiet.orbax():
        ocp.save(place / name, state)


def _newest(store: Store, remedy: str) -> tuple[Path, dict[str, Any]] | None:
    """The newest snapshot, every file of which is as it was written, and its position."""
    if store.owner is not None:
        snapshots.tidy(store.directory, store.owner, remove=False)
    there = snapshots.complete(store.directory)
    if not there:
        return None
    path = there[-1].absolute()
    note = _own(path, store, remedy)
    snapshots.check(path, note, remedy)
    return path, note.position


def _own(path: Path, store: Store, remedy: str) -> snapshots.Note:
    """The note of a snapshot, after making sure whose it is."""
    note = snapshots.note(path, remedy)
    if store.owner not in (None, note.owner):
        raise CheckpointError(
            f"checkpoint {path} belongs to another configuration ({note.owner}, this run is {store.owner}); "
            "move it away or choose another directory"
        )
    return note


def _see(directory: Path) -> None:
    """Raise CheckpointError where this process has no such directory."""
    if not directory.is_dir():
        raise CheckpointError(
            f"{directory} is not there: all processes of a run need one working and one cache directory, shared"
        )


def _load(path: Path, abstract: PyTree) -> PyTree:
    from orbax.checkpoint import v1 as ocp

    with plainly_named(path) as place:
        # Asked before: in the middle of loading, Orbax would leave work behind that is never done.
        stored = (leaf.shape for leaf in jax.tree.leaves(ocp.metadata(place).metadata))
        if sorted(stored) != sorted(map(_shape, jax.tree.leaves(abstract))):
            raise ValueError("it holds arrays of other shapes")
        return ocp.load(place, abstract)


def _as_placed(loaded: jax.Array, target: jax.Array | jax.ShapeDtypeStruct) -> jax.Array:
    """`loaded`, bound to its device only where `target` is: a program of arrays that are bound is another program."""
    single = isinstance(loaded.sharding, SingleDeviceSharding)
    if not single or getattr(target, "committed", False):
        return loaded
    if not jax.numpy.issubdtype(loaded.dtype, jax.dtypes.prng_key):
        return jax.device_put(np.asarray(loaded), may_alias=False)
    data = jax.device_put(np.asarray(jax.random.key_data(loaded)), may_alias=False)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(loaded))


def _shape(leaf: jax.ShapeDtypeStruct) -> tuple[int, ...]:
    """The shape of an array as it is stored, random keys as their data."""
    is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.eval_shape(jax.random.key_data, leaf).shape if is_key else leaf.shape


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for one line on a terminal."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
