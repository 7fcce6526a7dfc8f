"""The ids that somebody gives the examples of a dataset: whole numbers as such, all others as names."""

import re
from collections.abc import Sequence

__all__ = ["doubled", "numbers_of"]

WHOLE = re.compile(r"0|[1-9][0-9]{0,8}")
"""Numbers that int32 holds, written in one way alone."""


def numbers_of(ids: Sequence[str]) -> tuple[int, ...] | None:
    """`ids` as numbers where every one is such a number, so that "007" and "7" stay two ids; else None."""
    return tuple(map(int, ids)) if all(map(WHOLE.fullmatch, ids)) else None


def doubled(ids: Sequence[str]) -> tuple[int, int] | None:
    """The places of the first id that stands there twice; None where each is of one example."""
    places: dict[str, int] = {}
    for place, name in enumerate(ids):
        if name in places:
            return places[name], place
        places[name] = place
    return None
