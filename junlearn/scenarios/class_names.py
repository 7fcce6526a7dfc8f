"""Which class a person means by a name or a number.

A name comes before a position: where classes are called "2", "5" and "7", 2 is the class of this name. Where any class
has a number for a name, numbers are names alone, and positions are not taken; where none has, a number is a position in
the order of the classes, from 0.
"""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import tyro

from junlearn.datasets.labels import ALIASES
from junlearn.errors import ConfigError, unknown

__all__ = ["ClassName", "resolve"]

POSITION = re.compile(r"-?(0|[1-9][0-9]{0,17})")
"""A whole number as it is written plainly; of other spellings ("02") the text is kept."""

NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")

ClassName = Annotated[
    int | str,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT|STR",
        instance_from_str=lambda texts: (
            int(texts[0]) if POSITION.fullmatch(texts[0]) and texts[0] != "-0" else texts[0]
        ),
        is_instance=lambda value: isinstance(value, int | str),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""A class by its name or number. On a command line a number stays text where `int` would lose some of it."""


def resolve(wanted: Sequence[int | str], names: Sequence[str], kind: str) -> tuple[int, ...]:
    """Positions of the classes `wanted`, each a number or a name out of `names` (or the papers' name for one of them).

    Raises ConfigError for a class that does not exist or can mean several.
    """
    return tuple(sorted({_position(value, names, kind) for value in wanted}))


def _position(value: int | str, names: Sequence[str], kind: str) -> int:
    text = str(value)
    for candidate in (text, text.strip(), ALIASES.get(text, text)):
        if candidate in names:
            return names.index(candidate)
    form = unicodedata.normalize("NFC", text.strip())
    same = [name for name in names if unicodedata.normalize("NFC", name.strip()) == form]
    number = _number(text)
    if not same and number is not None:
        same = [name for name in names if _number(name) == number]
    if len(same) > 1:
        raise ConfigError(
            f"{kind} {text!r} can mean any of {', '.join(map(repr, same))}: write the name as it stands there"
        )
    if same:
        return names.index(same[0])
    if number is None:
        raise unknown(kind, value, names)
    if list(names) != [str(position) for position in range(len(names))]:
        numeric = [name for name in names if _number(name) is not None]
        if numeric:
            raise ConfigError(
                f"{kind} {text} does not exist: names are numbers here, so a number is a name and no position; "
                f"there are {', '.join(map(repr, names))}"
            )
    if number != int(number) or not 0 <= number < len(names):
        raise ConfigError(
            f"{kind} {text} does not exist: the dataset has {len(names)} (0 to {len(names) - 1})"
        )
    return int(number)


def _number(text: str) -> Decimal | None:
    """The value of a text that is a number, else None."""
    return Decimal(text.strip()) if NUMBER.fullmatch(text.strip()) else None
