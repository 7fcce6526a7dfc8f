"""What a registry holds: entries of models, datasets and scenarios, and named settings of methods."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from junlearn.types.space import Space

__all__ = [
    "Component",
    "Preset",
    "Scoring",
]


class Scoring(NamedTuple):
    """Which number of each training example a scenario chooses by: it is computed before the request is settled."""

    kind: str
    """A name in `junlearn.hardness.scored.SCORES`, which says what networks it needs; "file": it is in a file."""
    settings: Mapping[str, Any]
    """All that determines it beside the data, the network and its training; of "file" the path alone."""


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
    scoring: Callable[[Any], Scoring] | None = None
    """Of a scenario that chooses by a score of each example: `(config) -> Scoring`. `make` is then called as
    `(config, dataset, key, scores)` with float64[N]. One that manipulates cannot have it: scores are of the data."""
    sequence: Callable[[Any], int] | None = None
    """Of a scenario of several requests, one after the other: `(config) -> K`. `make` then returns K Splits; the
    examples that one of them forgets are in no set of a later one. It neither manipulates nor has `scoring`."""


class Preset(NamedTuple):
    """Named settings of a method, such as those of another paper or of a released code."""

    summary: str
    fields: Mapping[str, Any]
    """Fields of the method's Config; all others are at their defaults."""
    space: Space | None = None
    """What a search may try of it; None: the method's SPACE without `fields`."""
