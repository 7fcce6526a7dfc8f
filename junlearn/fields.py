"""Number types for configuration fields; the ranges are checked when a configuration is built."""

from typing import Annotated

from msgspec import Meta

__all__ = ["Count", "Fraction", "Momentum", "NonNegative", "Positive", "Seed", "Whole"]

Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
Seed = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Momentum = Annotated[float, Meta(ge=0, lt=1)]
