"""Dataclasses from plain values: every key, type and range that does not fit is one line that says where."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec

from junlearn.errors import ConfigError, unknown
from junlearn.experiment.sections import table_of

__all__ = ["convert"]

LONGEST = 64
"""Letters of a message on a value that is none of a few."""


def convert(cls: type, table: Mapping[str, Any], where: str = "") -> Any:
    """An instance of the dataclass `cls` from plain values: unknown keys, wrong types and ranges are errors."""
    _check_keys(cls, table, where)
    try:
        return msgspec.convert(table, cls)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        place = ".".join(part for part in (where, path.rstrip("`").lstrip(".")) if part)
        message = _with_choices(cls, path, message)
        raise ConfigError(f"{place}: {message}" if place else message) from error
    except OverflowError as error:
        raise ConfigError(f"{where or 'configuration'}: {error}") from error


def _with_choices(cls: Any, path: str, message: str) -> str:
    """The message on a value that is none of a few, cut to a line, with those that there are."""
    if not message.startswith("Invalid enum value "):
        return message
    for name in path.rstrip("`").strip(".").split("."):
        fields = {f.name: f.type for f in dataclasses.fields(cls)}
        cls = fields.get(name.partition("[")[0], cls)
    choices = [repr(choice) for choice in _choices(cls)]
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
    return f"{message}; known: {', '.join(choices)}" if choices else message


def _choices(kind: Any) -> list[Any]:
    """What a field of type Literal can be, also within a union or a tuple."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for inner in get_args(kind) for choice in _choices(inner)]


def _check_keys(cls: type, table: Mapping[str, Any], where: str) -> None:
    """Unknown keys, at every depth; the dataclass conversion would pass over them."""
    known = {f.name: f.type for f in dataclasses.fields(cls)}
    for key, value in table.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            siblings = [f"{where}.{name}" if where else name for name in known]
            raise unknown("configuration key", place, siblings, _places(cls, where))
        kind = known[key]
        if dataclasses.is_dataclass(kind):
            _check_keys(kind, table_of(place, value), place)  # type: ignore[arg-type]


def _places(cls: type, where: str) -> list[str]:
    """Every key that the schema has, at every depth."""
    names = []
    for item in dataclasses.fields(cls):
        place = f"{where}.{item.name}" if where else item.name
        inner = dataclasses.is_dataclass(item.type)
        names += _places(item.type, place) if inner else [place]  # type: ignore[arg-type]
    return names
