"""Which part of many things one of several jobs carries out, where the jobs know of each other by a number alone."""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from junlearn.errors import ConfigError, short

__all__ = ["Shard", "shard_of"]

T = TypeVar("T")

FORM = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)


class Shard(NamedTuple):
    """One of several jobs."""

    number: int
    """From 0 to `jobs` - 1."""
    jobs: int

    def __str__(self) -> str:
        return f"{self.number}/{self.jobs}"

    def part(self, things: Sequence[T]) -> list[T]:
        """Every `jobs`-th thing from `number` on: neighbours, which cost about the same, go to different jobs."""
        return list(things[self.number :: self.jobs])


def shard_of(text: str) -> Shard:
    """The job that `I/N` names. Raises ConfigError."""
    found = FORM.fullmatch(text)
    shard = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if shard.number >= shard.jobs:
        raise ConfigError(
            f"expected I/N with I from 0 to N - 1, such as 0/4, 1/4, 2/4 and 3/4, got {short(text)}"
        )
    return shard
