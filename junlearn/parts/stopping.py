"""When a method has forgotten enough: rules for `Stage.until`, and the accuracy of the original that one of them reads.

A state that asks for this accuracy has `right`, int32[2]: test examples that the original answers rightly, and all.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from junlearn.parts import feeds
from junlearn.parts.selection import right
from junlearn.types import Batch, Feed, Metrics, Model, Split, Variables

__all__ = ["below", "count_right", "less_than_original", "test_feed"]


def below(
    split: Split, accuracy: Callable[[Any], float]
) -> Callable[[Any, Callable[..., dict[str, float]]], bool]:
    """`until(state, evaluate)`: whether the accuracy on D_f is less than `accuracy(state)`."""

    def until(state: Any, evaluate: Callable[..., dict[str, float]]) -> bool:
        return evaluate(state.variables, split.forget)["accuracy"] < accuracy(state)

    return until


def count_right(
    model: Model, original: Callable[[Any], Variables]
) -> Callable[[Any, Batch], tuple[Any, Metrics]]:
    """`step(state, batch)`: adds to `state.right` how the network `original(state)` answers the batch."""

    def step(state: Any, batch: Batch) -> tuple[Any, Metrics]:
        return state._replace(right=state.right + right(model, original(state), batch)), {}

    return step


def test_feed(split: Split, batch_size: int) -> Callable[[np.random.Generator, Any], Feed]:
    """All test examples of the split, in ascending order."""
    rows = np.sort(np.concatenate([split.forget_test, split.retain_test]))
    return lambda rng, state: feeds.sequential(rows, batch_size, source="test")


def less_than_original(state: Any, margin: float) -> float:
    """The original's test accuracy minus `margin`, from `state.right`."""
    found, seen = np.asarray(state.right)
    return float(found / seen) - margin
