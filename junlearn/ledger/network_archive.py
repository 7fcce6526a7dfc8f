"""The networks of a ledger: one `.npz` file each, named by the SHA-256 of its bytes.

The bytes are a function of the numbers alone: the same network is the same file. An array is called by its path, such
as `params/head/kernel`, so that numpy is all that it takes to read one elsewhere.
"""

import hashlib
import io
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import DamagedError
from junlearn.files import replacing
from junlearn.types import Variables

__all__ = ["FOLDER", "check", "load", "path_of", "remove_all_but", "save", "unnamed"]

FOLDER = "networks"
NAME = re.compile(r"(?P<hash>[0-9a-f]{64})\.npz")


def path_of(directory: Path, name: str) -> Path:
    """Where the network with a hash is, in a ledger's directory."""
    return directory / FOLDER / f"{name}.npz"


def save(directory: Path, variables: Variables) -> str:
    """Write a network, unless it is there, and return its hash. It is complete on disk when this returns."""
    buffer = io.BytesIO()
    members = {_name(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(variables)}
    np.savez(buffer, **members)  # type: ignore[arg-type]
    content = buffer.getvalue()
    name = hashlib.sha256(content).hexdigest()
    path = path_of(directory, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or _hash(path) != name:
        with replacing(path) as file:
            file.write(content)
    return name


def load(directory: Path, name: str, like: Variables) -> Variables:
    """The network with a hash, on the device; `like` has its tree and shapes.

    Raises DamagedError where its file is missing, is not as it was written, or is of another network.
    """
    path = path_of(directory, name)
    check(directory, name)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {member: archive[member] for member in archive.files}
    wanted = {_name(place): leaf for place, leaf in jax.tree.leaves_with_path(like)}
    shapes = {member: array.shape for member, array in arrays.items()}
    if shapes != {member: leaf.shape for member, leaf in wanted.items()}:
        raise DamagedError(f"{path} is of another network than config.json describes")
    leaves = [jnp.asarray(arrays[member]) for member in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def check(directory: Path, name: str) -> None:
    """Raise DamagedError unless the file of a network is there as it was written."""
    path = path_of(directory, name)
    try:
        found = _hash(path)
    except FileNotFoundError:
        raise DamagedError(f"its network {path} is missing") from None
    except OSError as error:
        raise DamagedError(f"its network {path} cannot be read ({error.strerror})") from error
    if found != name:
        raise DamagedError(f"its network {path} is not as it was written")


def unnamed(directory: Path, named: Iterable[str]) -> list[Path]:
    """Files of networks that are not among those `named`: of requests that were cut off, or purged."""
    folder = directory / FOLDER
    known = set(named)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in found if (m := NAME.fullmatch(p.name)) and m["hash"] not in known]


def remove_all_but(directory: Path, named: Iterable[str]) -> None:
    """Remove the files of networks that are not among those `named`; what cannot be removed stays."""
    for path in unnamed(directory, named):
        with suppress(OSError):
            path.unlink()


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
