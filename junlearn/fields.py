"""Types of configuration fields; the ranges of numbers are checked when a configuration is built."""

from typing import Annotated

from msgspec import Meta

__all__ = [
    "BatchSize",
    "Count",
    "Epochs",
    "File",
    "Fraction",
    "ImageSize",
    "MethodText",
    "Momentum",
    "NonNegative",
    "Positive",
    "Seed",
    "Whole",
]

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Whole = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Epochs = Annotated[int, Meta(ge=1, le=10**6)]
BatchSize = Annotated[int, Meta(ge=1, le=2**20)]
ImageSize = Annotated[int, Meta(ge=1, le=2**14)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""JAX's keys have 32 bits of a seed: 2**32 would be 0 again."""
Positive = Annotated[float, Meta(gt=0, le=3e38)]
NonNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Momentum = Annotated[float, Meta(ge=0, lt=1)]
File = Annotated[str, Meta(extra={"names": "file"})]
"""A path. Two runs with files of one content have equal settings, wherever the files lie."""
MethodText = Annotated[str, Meta(extra={"names": "method"})]
"""A method with its settings, as `junlearn.parts.refinement` reads it."""
