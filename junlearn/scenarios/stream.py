"""A stream: K requests that come one after the other, each of them of what the earlier ones have left.

    (1)  request k forgets D_k and retains R_k = D without D_1, ..., D_k
    (2)  D_k: examples drawn from R_(k-1), size + (k - 1) growth of them; or a class; or what a file names

What was deleted is in no set of a later request: nobody trains on it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count, Whole
from junlearn.scenarios.class_names import ClassName, resolve
from junlearn.scenarios.naming import By
from junlearn.scenarios.partition import generator, partition
from junlearn.scenarios.rows import named
from junlearn.types import Dataset, Key, Split

__all__ = ["Config", "count", "split"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which requests, in their order."""

    requests: Count = 5
    """K, requests for random examples."""
    size: Count = 20
    """Examples of the first of them."""
    growth: Whole = 0
    """So many more examples in each request than in the one before."""
    classes: tuple[ClassName, ...] = ()
    """A request for each of these classes, whole, in this order, in the place of random ones."""
    files: tuple[str, ...] = ()
    """A request for what each of these files names, in this order, in the place of random ones: see `rows`."""
    by: By = "row"
    """What the files name examples by, as in `rows`; rows are those of the whole training set at every request."""

    def __post_init__(self) -> None:
        if self.classes and self.files:
            raise ConfigError("give either classes or files, not both: a request each")


def count(config: Config) -> int:
    """K."""
    return len(config.classes or config.files) or config.requests


def split(config: Config, dataset: Dataset, key: Key) -> list[Split]:
    """A Split for each request; the first examples of a longer stream of random ones are those of a shorter one.

    Raises ConfigError where nothing would be left to retain, a class does not exist or stands twice, or a file names
    what an earlier one has deleted, and as `rows` does.
    """
    tests = np.asarray(dataset.sources["test"].y)
    gone, gone_test = np.zeros(dataset.sources["train"].y.size, bool), np.zeros(tests.size, bool)
    found = []
    for number, (rows, classes) in enumerate(_requests(config, dataset, key)):
        forget = np.zeros(gone.size, bool)
        forget[rows] = True
        forget_test = np.isin(tests, classes)
        own = partition(
            forget, forget_test, key if number == 0 else jax.random.fold_in(key, number), classes
        )
        gone, gone_test = gone | forget, gone_test | forget_test
        found.append(
            own._replace(retain=np.flatnonzero(~gone), retain_test=np.flatnonzero(~gone_test))
        )
    if gone.all():
        raise ConfigError(f"the {len(found)} requests leave no example to retain")
    return found


def _requests(
    config: Config, dataset: Dataset, key: Key
) -> Iterator[tuple[np.ndarray, tuple[int, ...]]]:
    """Of each request its rows of "train", and its classes where it is for whole ones."""
    labels = np.asarray(dataset.sources["train"].y)
    if config.classes:
        numbers = [resolve([one], dataset.classes, "class") for one in config.classes]
        for place, own in enumerate(numbers):
            if own in numbers[:place]:
                raise ConfigError(
                    f"classes: class {config.classes[place]!r} stands twice; a request deletes it once"
                )
            yield np.flatnonzero(np.isin(labels, own)), own
    elif config.files:
        deleted: dict[int, str] = {}
        for file in config.files:
            lines = named(file, config.by, dataset)
            for row, line in lines.items():
                if row in deleted:
                    raise ConfigError(
                        f"{file}, line {line}: the training example {row} was deleted before, by {deleted[row]}"
                    )
            deleted |= {row: f"{file}, line {line}" for row, line in lines.items()}
            yield np.array(sorted(lines)), ()
    else:
        often = config.requests
        total = often * config.size + config.growth * often * (often - 1) // 2
        if total >= labels.size:
            raise ConfigError(
                f"the {often:,} requests are for {total:,} examples, and the training set has {labels.size:,}: one at "
                "least is to be retained"
            )
        sizes = config.size + config.growth * np.arange(often)
        order = generator(key).permutation(labels.size)
        for end, size in zip(np.cumsum(sizes), sizes, strict=True):
            yield order[end - size : end], ()
