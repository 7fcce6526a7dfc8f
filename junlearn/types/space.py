"""What a search may try of a method's settings: ranges of numbers and lists of choices, by field."""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Choice", "Range", "Space"]


class Range(NamedTuple):
    """All numbers from `low` to `high`, both included; whole numbers where both ends are whole."""

    low: float
    high: float
    log: bool = False
    """Equally many trials in each factor of ten: for rates and weights."""
    step: float | None = None
    """Only `low`, `low + step`, ...; not together with `log`."""


class Choice(NamedTuple):
    """One of these values."""

    values: tuple[Any, ...]


Space = Mapping[str, Range | Choice]
"""Field of a method's `Config` -> what may be tried there."""
