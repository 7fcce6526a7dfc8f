"""SPACE of a method, what a search may try of its settings: read and checked."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from junlearn.errors import ConfigError, short, unknown
from junlearn.types import Choice, Range, Space

__all__ = ["checked_space", "ends"]


def checked_space(space: Any, config: type, what: str) -> Space:
    """`space`, if it is one for the fields of the dataclass `config`.

    Raises ConfigError, which begins with `what`, for a field that there is not, a range that is none, a choice out of
    nothing, and for a value that the field refuses.
    """
    if not isinstance(space, Mapping):
        raise ConfigError(
            f"{what}: SPACE is a mapping from fields of Config to Range or Choice, got {short(space)}"
        )
    fields = [field.name for field in dataclasses.fields(config)]
    for name, tried in space.items():
        if name not in fields:
            raise ConfigError(f"{what}: SPACE: {unknown('field', name, fields)}")
        where = f"{what}: SPACE: {name}"
        if isinstance(tried, Range):
            _check_range(tried, where)
        elif not isinstance(tried, Choice):
            raise ConfigError(f"{where}: Range or Choice is wanted, got {short(tried)}")
        elif not isinstance(tried.values, tuple | list) or not tried.values:
            raise ConfigError(f"{where}: Choice wants a tuple of values, one at least")
        for value in ends(tried):
            _check_value(config, name, value, where)
    return space


def ends(tried: Range | Choice) -> tuple[Any, ...]:
    """Both ends of a range, or all choices."""
    return (tried.low, tried.high) if isinstance(tried, Range) else tuple(tried.values)


def _check_range(tried: Range, where: str) -> None:
    numbers = [tried.low, tried.high, *([] if tried.step is None else [tried.step])]
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise ConfigError(f"{where}: Range wants numbers, got {short(tuple(tried))}")
    if not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{where}: Range wants finite numbers, got {short(tuple(tried))}")
    if tried.low > tried.high:
        raise ConfigError(f"{where}: low is {tried.low}, above high, which is {tried.high}")
    if tried.log and tried.low <= 0:
        raise ConfigError(f"{where}: a range with log=True begins above 0; low is {tried.low}")
    if tried.step is None:
        return
    if tried.log:
        raise ConfigError(f"{where}: a range has log=True or a step, not both")
    if tried.step <= 0 or (tried.whole and not isinstance(tried.step, int)):
        kind = "a whole number" if tried.whole else "a number"
        raise ConfigError(f"{where}: step is {tried.step}; {kind} above 0 is allowed")


def _check_value(config: type, name: str, value: Any, where: str) -> None:
    try:
        msgspec.convert({name: value}, config)
    except (msgspec.ValidationError, OverflowError) as error:
        reason = str(error).partition(" - at `")[0]
        raise ConfigError(f"{where}: {short(value)} is refused: {reason}") from error
