"""Places on a grid in words, and as the names of folders: readable, and no two points in one."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from junlearn.experiment.schema import digest

__all__ = ["folders", "in_words", "title_of", "words"]

LONGEST = 200
"""Bytes of a folder's name; longer ones are cut and get a digest."""


def words(axes: Mapping[str, Any]) -> str:
    """Axes and their values, such as `share 0.5, seed 1` or `scenario class (classes [0]), seed 1`."""
    return ", ".join(f"{title_of(key)} {in_words(value)}" for key, value in axes.items())


def title_of(axis: str) -> str:
    """The last part of an axis's name."""
    return axis.rpartition(".")[2]


def folders(places: Sequence[Mapping[str, Any]]) -> list[str]:
    """The name of each place's folder: its words, and a digest of its values where these alone would not tell it.

    That is where another place has the same words but for punctuation and capitals, or they are long.
    """
    names = [_folder(place) for place in places]
    counts = Counter(name.casefold() for name in names)
    return [
        f"{_cut(name)}-{digest(dict(place))[:8]}"
        if counts[name.casefold()] > 1 or len(name.encode()) > LONGEST
        else name
        for name, place in zip(names, places, strict=True)
    ]


def _folder(place: Mapping[str, Any]) -> str:
    return re.sub(r"[^\w.-]+", "-", words(place).replace(", ", "_")).strip("-") or "only"


def _cut(name: str) -> str:
    return name.encode()[:LONGEST].decode(errors="ignore")


def in_words(value: Any) -> str:
    """A value of an axis; of a section its name, and its other fields in brackets."""
    if not isinstance(value, Mapping):
        return str(value)
    fields = ", ".join(f"{key} {in_words(inner)}" for key, inner in value.items() if key != "name")
    if "name" not in value:
        return f"({fields})"
    return f"{value['name']} ({fields})" if fields else str(value["name"])
