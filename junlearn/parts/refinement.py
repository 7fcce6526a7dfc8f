"""A request cut into groups by a score of its examples, and methods that are written as a text.

A text is a method's name, or that of a preset, and then any number of pairs `field=value`, with spaces between them and
none within: "finetune epochs=10 learning_rate=0.1". A value is written as in Python or TOML.
"""

import ast
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from junlearn.errors import ConfigError, unknown
from junlearn.types import Array, Method, Split, Variables

__all__ = ["Part", "fits_of", "groups", "read"]

WORDS = {"true": True, "false": False, "none": None}


class Part(NamedTuple):
    """A method with its settings."""

    method: str
    config: Any


def fits_of(methods: Sequence[Method]) -> Callable[[Variables, Array], None]:
    """`Method.fits` of methods in turn: a network that one of them refuses is refused."""

    def fits(variables: Variables, x: Array) -> None:
        for method in methods:
            if method.fits is not None:
                method.fits(variables, x)

    return fits


def read(text: str, methods: Mapping[str, Any], where: str) -> Part:
    """The method that a text names, out of `methods` and their presets, with its Config.

    Raises ConfigError, which begins with `where`, for names, fields and values that there are not.
    """
    presets = {
        name: (method, preset.fields)
        for method, module in methods.items()
        for name, preset in getattr(module, "PRESETS", {}).items()
    }
    name, *pairs = text.split() or [""]
    if name not in methods.keys() | presets.keys():
        raise ConfigError(f"{where}: {unknown('method', name, [*methods, *presets])}")
    method, fields = presets.get(name, (name, {}))
    cls = methods[method].Config
    known = [field.name for field in dataclasses.fields(cls)]
    given = {}
    for pair in pairs:
        field, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(f"{where}: {pair!r} in {text!r} is no pair field=value")
        if field not in known:
            raise ConfigError(f"{where}: {unknown(f'field of {name}', field, known)}")
        given[field] = _value(value)
    try:
        return Part(method, msgspec.convert({**fields, **given}, cls))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {text!r}: {error}") from error


def _value(text: str) -> Any:
    """What stands there; a word that is none of `WORDS` stands for itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return WORDS.get(text.lower(), text)


def groups(split: Split, scores: np.ndarray, count: int, *, later: bool) -> list[Split]:
    """Requests for `count` groups of D_f, whose sizes differ by one at most, by rising `scores` of `split.forget`.

    Of equal scores the first row comes first. `later`: the groups after its own are among the retain examples of a
    request; then it is none for whole classes.
    """
    ranks = np.argsort(scores, kind="stable")
    parts = [np.sort(part) for part in np.array_split(split.forget[ranks], count)]
    requests = []
    for number, rows in enumerate(parts):
        others = parts[number + 1 :] if later else []
        retain = np.sort(np.concatenate([split.retain, *others])) if others else split.retain
        classes = () if others else split.classes
        requests.append(split._replace(forget=rows, retain=retain, classes=classes))
    return requests
