"""Functions that give the same object for equal arguments, so that what was compiled from it is found again."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from jax.extend.core import get_opaque_trace_state

__all__ = ["remembered", "traced"]

REMEMBERED = 64
"""Results that are kept of each function; the one that was asked for longest ago goes first."""

UNTRACED = get_opaque_trace_state()
"""What JAX says where nothing is traced."""

F = TypeVar("F", bound=Callable)


def traced() -> bool:
    """Whether this is called while JAX traces a function."""
    return get_opaque_trace_state() != UNTRACED


def remembered(function: F) -> F:
    """`function`, which must be pure and take hashable arguments, with its last results kept.

    JAX knows a function by its identity: one that is defined anew is traced and compiled anew. Nothing is looked up or
    kept while JAX traces: a function that is defined in a trace may hold its tracers, which would stay alive with it.
    """
    kept = lru_cache(maxsize=REMEMBERED)(function)

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        return (function if traced() else kept)(*arguments, **options)

    return cast(F, call)
