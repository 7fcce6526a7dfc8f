"""What a search may try of a method's settings: ranges of numbers and lists of choices, by field."""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Choice", "Range", "Space"]


class Range(NamedTuple):
    """All numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Equally many trials in each factor of ten: for rates and weights."""
    step: float | None = None
    """Only `low`, `low + step`, ...; not together with `log`."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried: both ends are written as such, 1 and not 1.0."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Choice(NamedTuple):
    """One of these values."""

    values: tuple[Any, ...]


Space = Mapping[str, Range | Choice]
"""Field of a method's `Config` -> what may be tried there."""
