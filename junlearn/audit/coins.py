"""The design "random": which targets each run is trained on, and which of them it is asked to forget.

    (1)  in every block of BLOCK runs each target is in exactly half of the runs, by a permutation of its own
    (2)  every pair of a run and a target, included or not, has a group among 0 .. F - 1, by a permutation: in every
         block the runs that have a target, and those that have not, are shared out evenly
    (3)  run s is trained on the base and its targets; request (s, f) forgets those of them in group f
    (4)  target i is judged in run s in network (s, group[s, i]) alone: unlearned if it is included, else never seen

Given all else, "forgotten" and "never seen" differ by a fair coin that was tossed within a block. Under perfect
unlearning the outputs do not depend on the coin, so permuting the coins within the pairs of a group in a block is an
exact test, whatever the examples have in common. Groups that are shared out evenly leave as many runs of each kind in
every fit as there can be. Blocks are drawn from seeds of their own: more runs change none that there are.
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
    """The coins of `runs` runs, a multiple of BLOCK; a block in which a request is empty draws its groups again.

    Raises ConfigError where there are fewer than 8 targets a request.
    """
    count = len(targets)
    if count < 8 * sets:
        raise ConfigError(
            f"audit: {count} targets for {sets} forget sets; at least 8 a set are needed"
        )
    included = np.concatenate(
        [_block(seed, number, count, sets) for number in range(runs // BLOCK)]
    )
    blocks = included.reshape(-1, BLOCK, count)
    group = np.concatenate([_groups(seed, b, block, sets) for b, block in enumerate(blocks)])
    return Coins(np.sort(targets), included, group, sets)


def _block(seed: int, number: int, count: int, sets: int) -> np.ndarray:
    """bool[BLOCK,n], drawn again where a run would have fewer targets than requests."""
    half = np.broadcast_to(np.arange(BLOCK)[:, None] < BLOCK // 2, (BLOCK, count))
    rng = np.random.default_rng((seed, COIN, number))
    while True:
        included = rng.permuted(half, axis=0)
        if included.sum(axis=1).min() >= sets:
            return included


def _groups(seed: int, number: int, included: np.ndarray, sets: int) -> np.ndarray:
    """int[BLOCK,n]: the groups of a block, drawn again where a run would have an empty request."""
    rng = np.random.default_rng((seed, GROUP, number))
    labels = np.broadcast_to(np.arange(BLOCK)[:, None] % sets, included.shape)
    # Runs that have the target first: the labels of either half are then evenly dealt out.
    order = np.argsort(~included, axis=0, kind="stable")
    while True:
        half = BLOCK // 2
        shift = rng.integers(sets, size=(2, included.shape[1]))
        dealt = [rng.permuted((labels[:half] + shift[kind]) % sets, axis=0) for kind in range(2)]
        group = np.empty(included.shape, int)
        np.put_along_axis(group, order, np.concatenate(dealt), axis=0)
        if all(len(np.unique(row[has])) == sets for row, has in zip(group, included, strict=True)):
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
