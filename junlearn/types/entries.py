"""What a registry holds: entries of models, datasets and scenarios, and named settings of methods."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "Component",
    "Preset",
]


class Component(NamedTuple):
    """An entry of the registries of models, datasets and scenarios."""

    summary: str
    Config: type
    make: Callable[..., Any]
    manipulates: bool = False
    """Of a scenario: it changes the training data too, and `make` returns `(Dataset, Split)`."""
    request: tuple[str, ...] = ()
    """Of a scenario that manipulates: the fields of its Config that only choose what is forgotten, and which the
    original network does not depend on."""


class Preset(NamedTuple):
    """Named settings of a method, such as those of another paper or of a released code."""

    summary: str
    fields: Mapping[str, Any]
    """Fields of the method's Config; all others are at their defaults."""
