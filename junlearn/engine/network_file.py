"""One network of an audit in one file: what it answers, how it was made and, where they are kept, its weights.

A file is written whole or not at all, and is a function of the network alone: the same network gives the same bytes, so
nothing of the time that it took stands in it. Members of the `.npz`: `meta` (sealed JSON, with the digest of every
other member), `logits` float32[n,K] or, where only margins are kept, `phi` float64[n] and `predicted` int32[n], and
the leaves of the weights. A network that diverged has none of them, and says in `meta` how.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from junlearn.errors import DamagedError
from junlearn.files import array_digest, replacing, seal, unseal
from junlearn.types import Variables

__all__ = ["NetworkFile", "read", "weights", "write"]

OUTPUTS = ("logits", "phi", "predicted")


class NetworkFile(NamedTuple):
    """What a file holds."""

    about: dict[str, Any]
    """Ensemble, number, seeds, digest of the training rows, last loss, versions, device; "diverged" where it is so."""
    outputs: Mapping[str, np.ndarray]
    """`logits`, or `phi` and `predicted`, on the rows of the bank; empty where the network diverged."""
    leaves: tuple[np.ndarray, ...] = ()
    """The weights, in the order of `jax.tree.leaves`; empty where they are not kept."""

    @property
    def diverged(self) -> str:
        """How the network diverged; empty where it did not."""
        return str(self.about.get("diverged", ""))


def write(path: Path, network: NetworkFile, belongs: str) -> None:
    """Write a file, in a directory that is there; `belongs` names its bank and its place in it."""
    members = {name: np.asarray(array) for name, array in network.outputs.items()}
    members |= {f"w{i:05d}": np.asarray(leaf) for i, leaf in enumerate(network.leaves)}
    digests = {name: array_digest(array) for name, array in members.items()}
    text = seal({**network.about, "digests": digests}, belongs)
    with replacing(path) as file:
        np.savez(file, meta=np.frombuffer(text.encode(), np.uint8), **members)  # type: ignore[arg-type]


def read(path: Path, belongs: str, *, with_weights: bool = False) -> NetworkFile:
    """Read a file; the weights only if they are wanted.

    Raises FileNotFoundError where there is none, other errors of the system where it cannot be opened, DamagedError
    where anything of it is not as it was written, or where it belongs somewhere else.
    """
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                about = unseal(archive["meta"].tobytes(), belongs)
                digests = about.pop("digests")
                names = [name for name in digests if with_weights or name in OUTPUTS]
                arrays = {name: archive[name] for name in names}
        except DamagedError:
            raise
        except Exception as error:  # a damaged archive can make any layer of the reading fail
            raise DamagedError(f"it cannot be read ({type(error).__name__}: {error})") from error
    for name, array in arrays.items():
        if array_digest(array) != digests[name]:
            raise DamagedError(f"its {name} are not as they were written")
    leaves = tuple(arrays[name] for name in sorted(arrays) if name not in OUTPUTS)
    return NetworkFile(about, {n: arrays[n] for n in OUTPUTS if n in arrays}, leaves)


def weights(network: NetworkFile, like: Variables) -> Variables:
    """The weights of a file as Variables of the same tree as `like` (shapes are enough).

    Raises DamagedError where the file has weights of another network, or none.
    """
    shapes, tree = jax.tree.flatten(like)
    if [leaf.shape for leaf in network.leaves] != [leaf.shape for leaf in shapes]:
        raise DamagedError("it holds no weights of this network")
    return jax.tree.unflatten(tree, network.leaves)
