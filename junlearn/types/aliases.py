"""The names that the contract has for arrays and trees of them."""

from typing import Any

import jax

__all__ = [
    "Array",
    "Key",
    "Metrics",
    "PyTree",
]

Array = jax.Array
Key = jax.Array
PyTree = Any
Metrics = dict[str, Array]
