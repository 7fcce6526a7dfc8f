"""The seeds of the networks of an audit: each ensemble has a stream of its own, each network a place in it.

Network i never depends on how many others there are. No two ensembles share a seed: two networks that begin alike end
alike, and a null of networks that share seeds is too narrow.
"""

from enum import IntEnum

import jax
import numpy as np

from junlearn.types import Key

__all__ = ["Stream", "network_key", "order_seed"]


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
