"""The design "random": which targets each run is trained on, and which of them it is asked to forget.

    (1)  in every block of BLOCK runs each target is in exactly half of the runs, by a permutation of its own
    (2)  every pair of a run and a target, included or not, has a group, uniform on 0 .. F - 1
    (3)  run s is trained on the base and its targets; request (s, f) forgets those of them in group f
    (4)  target i is judged in run s in network (s, group[s, i]) alone: unlearned if it is included, else never seen

Given all else, "forgotten" and "never seen" differ by a fair coin that was tossed within a block. Under perfect
unlearning the outputs do not depend on the coin, so permuting the coins within the blocks is an exact test, whatever
the examples have in common (`audit.md` a.2). Blocks and runs are drawn from seeds of their own: more runs change none
that there are.
"""

from typing import NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.experiment.auditing import BLOCK
from junlearn.types import Split

__all__ = ["Coins", "draw", "folds", "request", "training_rows"]

COIN, GROUP = 1, 2
"""Streams of random numbers, beside that of the sample of retain examples."""


class Coins(NamedTuple):
    """S runs and n targets."""

    targets: np.ndarray
    """int[n] into "train", ascending."""
    included: np.ndarray
    """bool[S,n]: (1)."""
    group: np.ndarray
    """int[S,n]: (2)."""
    sets: int
    """F, the requests of a run."""

    @property
    def block(self) -> np.ndarray:
        """int[S]: the block of each run."""
        return np.arange(len(self.included)) // BLOCK


def draw(targets: np.ndarray, runs: int, sets: int, seed: int) -> Coins:
    """The coins of `runs` runs, a multiple of BLOCK; a run with an empty request draws its groups again.

    Raises ConfigError where there are fewer than 8 targets a request.
    """
    count = len(targets)
    if count < 8 * sets:
        raise ConfigError(
            f"audit: {count} targets for {sets} forget sets; at least 8 a set are needed"
        )
    included = np.concatenate([_block(seed, number, count) for number in range(runs // BLOCK)])
    group = np.stack([_groups(seed, s, included[s], sets) for s in range(runs)])
    return Coins(np.sort(targets), included, group, sets)


def _block(seed: int, number: int, count: int) -> np.ndarray:
    half = np.arange(BLOCK)[:, None] < BLOCK // 2
    rng = np.random.default_rng((seed, COIN, number))
    return rng.permuted(np.broadcast_to(half, (BLOCK, count)), axis=0)


def _groups(seed: int, run: int, included: np.ndarray, sets: int) -> np.ndarray:
    rng = np.random.default_rng((seed, GROUP, run))
    while True:
        group = rng.integers(sets, size=len(included))
        if len(np.unique(group[included])) == sets:
            return group


def training_rows(coins: Coins, run: int, size: int) -> np.ndarray:
    """int[]: what a run is trained on, ascending: of `size` examples all but the targets that it leaves out."""
    kept = np.ones(size, bool)
    kept[coins.targets[~coins.included[run]]] = False
    return np.flatnonzero(kept)


def request(coins: Coins, run: int, number: int, size: int, tests: int) -> Split:
    """Request `number` of a run: the Split of the rows that it is trained on; the targets left out are in no part."""
    wanted = coins.included[run] & (coins.group[run] == number)
    rows = training_rows(coins, run, size)
    forget = coins.targets[wanted]
    none = np.zeros(0, int)
    return Split(forget, np.setdiff1d(rows, forget), none, np.arange(tests), seed=run)


def folds(coins: Coins, count: int) -> np.ndarray:
    """int[S]: the fold of each run, whole blocks in a row."""
    runs = len(coins.included)
    return np.arange(runs) // (runs // count)
