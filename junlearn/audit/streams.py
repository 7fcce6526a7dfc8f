"""The seeds of the networks of an audit: each ensemble has a stream of its own, each network a place in it.

Network i never depends on how many others there are. No two ensembles share a seed: two networks that begin alike end
alike, and a null of networks that share seeds is too narrow.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TypedDict

import jax
import numpy as np

from junlearn.types import Key

__all__ = ["Seeds", "Stream", "drawn", "network_key", "order_seed"]


class Stream(IntEnum):
    """Purposes of random keys, beside those of `junlearn.experiment.setup` (0 to 5), which they never meet."""

    ORIGINAL = 6
    RETRAIN = 7
    TWIN = 8
    METHOD = 9
    RUN = 10


def network_key(seed: int, stream: Stream, number: int) -> Key:
    """The key of a network: its initialisation and augmentation, or what a method draws."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), int(stream)), number)


def order_seed(seed: int, stream: Stream, number: int) -> int:
    """The seed of a network's order of the data, 32 bits."""
    state = np.random.SeedSequence((seed, int(stream), number)).generate_state(1)
    return int(state[0])


class Seeds(TypedDict):
    """Of many networks, as `junlearn.many.train_each` and `junlearn.engine.unlearn_each` take them."""

    keys: list[Key]
    seeds: list[int]


def drawn(seeds: Mapping[str, int], purpose: str, networks: Sequence[tuple[Stream, int]]) -> Seeds:
    """The key and the order of each network; `seeds` has those of the experiment, `purpose` is the one of the keys."""
    return Seeds(
        keys=[network_key(seeds[purpose], *network) for network in networks],
        seeds=[order_seed(seeds["order"], *network) for network in networks],
    )
