"""Functions that give the same object for equal arguments, so that what was compiled from it is found again."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar, cast

__all__ = ["remembered"]

REMEMBERED = 64
"""Results that are kept of each function; the one that was asked for longest ago goes first."""

F = TypeVar("F", bound=Callable)


def remembered(function: F) -> F:
    """`function`, which must be pure and take hashable arguments, with its last results kept.

    JAX knows a function by its identity: one that is defined anew is traced and compiled anew.
    """
    return cast(F, lru_cache(maxsize=REMEMBERED)(function))
