"""The finished networks of `train_many` in a directory: one sealed file each, written when it is there and then kept.

    00012.npz    network 12: its weights, its history, how it was made, and of which training it is

A file is there as a whole or not at all. What is not as it was written is put aside and made again; what is of another
training is left as it is, and refused.
"""

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from junlearn import files
from junlearn.engine import network_file
from junlearn.engine.abreast import One
from junlearn.engine.checkpoint import Store
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import CheckpointError, ConfigError, DamagedError
from junlearn.types import Data, Key, Sources, Variables

__all__ = ["Finished", "named", "store_of"]

KIND = "a network of train_many"
ANSWERS = "model or views"
"""What the answers are called where they differ."""
ROUGHLY = 0.02
"""How far they may: more than two devices differ by, less than two networks."""

log = logging.getLogger(__name__)


def store_of(store: Any, where: str) -> Store | None:
    """Where networks are kept: a Store, or a directory of whatever owner. Raises ConfigError for anything else."""
    if store is None or isinstance(store, Store):
        return store
    if not isinstance(store, str | os.PathLike):
        raise ConfigError(
            f"{where}: store is {kind_of(store)}: a directory is wanted, or "
            "junlearn.engine.checkpoint.Store(directory, owner)"
        )
    return Store(Path(store), None)


def named(
    config: Any,
    sources: Sources,
    shapes: Variables,
    rows: Sequence[np.ndarray],
    keys: Sequence[Key],
    seeds: Sequence[int],
    answers: np.ndarray,
) -> list[dict[str, Any]]:
    """What determines each of the networks, as digests and numbers.

    The functions of the model and of the view are told by what they do: `answers` of a fresh network on a few examples.
    """
    # A field that a later version adds has its default in networks of before.
    recipe = {
        f"recipe.{field.name}": getattr(config, field.name)
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != field.default
    }
    common = {
        **recipe,
        "data": {name: _digest(source) for name, source in sorted(sources.items())},
        "network": [
            [jax.tree_util.keystr(path), list(leaf.shape), str(leaf.dtype)]
            for path, leaf in jax.tree.leaves_with_path(shapes)
        ],
        ANSWERS: np.asarray(answers, np.float64).tolist(),
    }
    return [
        common
        | {
            "rows": files.array_digest(np.asarray(own, np.int64)),
            "key": [str(jax.random.key_impl(key)), np.asarray(jax.random.key_data(key)).tolist()],
            "seed": seed,
        }
        for own, key, seed in zip(rows, keys, seeds, strict=True)
    ]


def _digest(data: Data) -> str:
    """blake2b of all columns of a source."""
    content = hashlib.blake2b(digest_size=16)
    for name, column in data._asdict().items():
        if column is not None:
            content.update(f"{name} {files.array_digest(np.asarray(column))}\n".encode())
    return content.hexdigest()


class Finished:
    """The networks that are in a directory, of those that are wanted."""

    def __init__(self, store: Store, wanted: Sequence[dict[str, Any]], shapes: Variables) -> None:
        """`wanted` is what `named` gives, `shapes` are those of a network; nothing is read or written yet."""
        self.directory, self.owner, self.shapes = Path(store.directory), store.owner, shapes
        self.wanted = [json.loads(json.dumps(each)) for each in wanted]

    def path(self, number: int) -> Path:
        """Where a network's file is."""
        return self.directory / f"{number:05d}.npz"

    def read(self) -> tuple[dict[int, One], dict[str, Any]]:
        """The networks that are there, by number, and the way that they were made in: `how` and `places`.

        Raises CheckpointError where a file is of another training.
        """
        if self.directory.exists() and not self.directory.is_dir():
            raise CheckpointError(f"store: {self.directory} is no directory")
        files.clear_temporaries(self.directory)
        found: dict[int, One] = {}
        way: dict[str, Any] = {}
        for number, wanted in enumerate(self.wanted):
            try:
                one, its_way = self._read(number, wanted)
            except FileNotFoundError:
                continue
            except DamagedError as error:
                aside = files.keep_damaged(self.path(number))
                log.warning(
                    "store: %s is damaged (%s): the network is trained again, the file as it was is %s",
                    *(self.path(number), error, aside.name),
                )
                continue
            found[number] = one
            way = way or its_way
        return found, way

    def _read(self, number: int, wanted: Mapping[str, Any]) -> tuple[One, dict[str, Any]]:
        file = network_file.read(self.path(number), KIND, with_weights=True)
        about = file.about
        there = about["of"]
        names = [*wanted, *(name for name in there if name not in wanted)]
        other = [name for name in names if not _same(name, there.get(name), wanted.get(name))]
        other += ["owner"] * (self.owner is not None and about["owner"] != self.owner)
        if other:
            raise CheckpointError(
                f"store: {self.path(number)} is of another training ({', '.join(other)}): "
                "choose another directory, or delete it"
            )
        leaves = network_file.weights(file, self.shapes)
        variables = jax.tree.map(lambda leaf, kind: leaf.view(kind.dtype), leaves, self.shapes)
        one = One(number, variables, about["history"], about["seconds"], about["how"])
        return one, {"how": about["how"], "places": about["places"]}

    def write(self, one: One, places: int) -> None:
        """Keep a network, trained in a program of so many places on a device; one that is there stays.

        Raises CheckpointError where it cannot be written; the networks before it are kept.
        """
        path = self.path(one.number)
        about = {
            "of": self.wanted[one.number],
            "owner": self.owner,
            "history": one.history,
            "seconds": round(one.seconds, 4),
            "how": one.how,
            "places": places,
        }
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                leaves = tuple(map(_plain, jax.tree.leaves(one.variables)))
                network_file.write(path, NetworkFile(about, {}, leaves), KIND)
        except OSError as error:
            raise CheckpointError(
                f"store: cannot write {path} ({error.strerror}); the networks that are there are kept"
            ) from error


def _same(name: str, one: Any, other: Any) -> bool:
    """Whether two trainings have the same of this name; answers are compared as other devices would round them."""
    if name != ANSWERS or np.shape(one) != np.shape(other):
        return one == other
    return np.allclose(one, other, rtol=ROUGHLY, atol=ROUGHLY * np.abs(other).max())


def _plain(leaf: np.ndarray) -> np.ndarray:
    """An array as numpy's files hold it: of numbers such as bfloat16 their bits."""
    return leaf if leaf.dtype.isbuiltin == 1 else leaf.view(f"u{leaf.dtype.itemsize}")
