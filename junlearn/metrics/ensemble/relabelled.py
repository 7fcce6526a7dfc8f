"""Which networks of a pool play "unlearned" and which "retrained": the unit of every null is a whole network.

A null band and a permutation test ask one question: what would the metric be, had the same networks been dealt out to
the two sides in another way? So the metrics here have two forms. The plain one takes two ensembles of margins,
`unlearned[N,n]` and `retrained[N',n]`. The resampled one takes their pool `[N + N', n]`, unlearned first, and many ways
to deal it out.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats, Integers

__all__ = [
    "Relabelled",
    "bootstraps",
    "check_deal",
    "ensemble",
    "identity",
    "permutations",
    "pieces",
    "pool_of",
    "selection",
    "splits",
]

BUDGET = 16 * 2**20
"""Bytes of a temporary array that the resampled forms make, about; they hold a few of them at a time."""


class Relabelled(NamedTuple):
    """`P` ways to deal the rows of a pool `[M,n]` out to the two sides."""

    first: np.ndarray
    """int[P,N]: the rows that play "unlearned". Their order decides the folds of `crossfit`."""
    second: np.ndarray
    """int[P,N']: the rows that play "retrained", likewise."""


def identity(n_first: int, n_second: int) -> Relabelled:
    """The one way in which the pool was put together: the first rows are the unlearned networks."""
    rows = np.arange(n_first + n_second)[None]
    return Relabelled(rows[:, :n_first], rows[:, n_first:])


def permutations(n_first: int, n_second: int, count: int, rng: np.random.Generator) -> Relabelled:
    """`count` permutations of the pooled networks, for a test: under the null all are equally likely."""
    rows = rng.permuted(np.tile(np.arange(n_first + n_second), (count, 1)), axis=1)
    return Relabelled(rows[:, :n_first], rows[:, n_first:])


def splits(count: int, half: int, rng: np.random.Generator) -> Relabelled:
    """`count` random halves of a pool of `2 half` networks, for a null band: what a perfect unlearner scores."""
    return permutations(half, half, count, rng)


def bootstraps(n_first: int, n_second: int, count: int, rng: np.random.Generator) -> Relabelled:
    """Both sides drawn anew from themselves with replacement, for an interval of an effect.

    For moments and churn alone: a network that is drawn twice breaks what is fitted, F and KLoM.
    """
    first = rng.integers(0, n_first, (count, n_first))
    return Relabelled(first, n_first + rng.integers(0, n_second, (count, n_second)))


def ensemble(name: str, margins: np.ndarray) -> Floats:
    """The margins as float64[N,n]. Raises ConfigError unless they are a matrix of finite numbers with a row."""
    rows = np.asarray(margins, np.float64)
    if rows.ndim != 2 or rows.size == 0:
        raise ConfigError(f"{name}: expected margins [networks, examples], got shape {rows.shape}")
    bad = int(np.sum(~np.isfinite(rows).all(axis=1)))
    if bad:
        raise ConfigError(
            f"{name}: {bad} of {len(rows)} networks have margins that are NaN or infinite"
        )
    return rows


def pool_of(unlearned: np.ndarray, retrained: np.ndarray) -> tuple[Floats, Relabelled]:
    """The pool float64[N + N', n] of two ensembles, and how it was put together.

    Raises ConfigError if margins are not finite or the sides have other numbers of examples.
    """
    first, second = ensemble("unlearned", unlearned), ensemble("retrained", retrained)
    if first.shape[1] != second.shape[1]:
        raise ConfigError(
            f"unlearned networks have {first.shape[1]} examples, retrained ones {second.shape[1]}"
        )
    return np.concatenate([first, second]), identity(len(first), len(second))


def check_deal(pool: np.ndarray, relabelled: Relabelled) -> Floats:
    """The pool as float64[M,n]. Raises ConfigError unless each way deals out every row of it once."""
    rows = ensemble("pool", pool)
    dealt = np.sort(np.concatenate(relabelled, axis=1), axis=1)
    if dealt.shape[1] != len(rows) or (dealt != np.arange(len(rows))).any():
        raise ConfigError(
            f"a pool of {len(rows)} networks must be dealt out whole, each network to one side"
        )
    return rows


def selection(rows: Integers, size: int, dtype: type = np.float64) -> np.ndarray:
    """`[P,size]`: how often each of `size` networks is among `rows[P,N]`; `selection @ pool` sums over them."""
    counts: np.ndarray = np.zeros((len(rows), size), dtype)
    np.add.at(counts, (np.arange(len(rows))[:, None], rows), 1)
    return counts


def pieces(total: int, bytes_each: int) -> Iterator[slice]:
    """Slices that cover `range(total)`, each of at most BUDGET bytes where one takes `bytes_each`."""
    step = max(1, BUDGET // max(1, bytes_each))
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))
