"""A Split of one's own at the door."""

from typing import Any

import numpy as np

from junlearn.engine.inputs.arrays import array_of, kind_of, rows_of
from junlearn.engine.inputs.options import seed_of
from junlearn.errors import ConfigError
from junlearn.types import Sources, Split

__all__ = ["check_once", "check_rows", "check_split", "class_numbers"]

PLACES = {
    "forget": "train",
    "retain": "train",
    "forget_test": "test",
    "retain_test": "test",
    "manipulated": "train",
}
"""The source that each of a Split's row numbers lies in."""


def check_split(sources: Sources, split: Split, classes: int | None = None) -> Split:
    """A Split of one's own, with all of its row numbers and classes checked; K = `classes`, where it is known.

    Raises ConfigError for row numbers that are out of range or repeated, examples that are both forgotten and
    retained, and classes that do not exist.
    """
    split = check_rows(sources, split)
    for name in PLACES:
        if getattr(split, name) is not None:
            check_once(getattr(split, name), f"split.{name}")
    for one, other in (("forget", "retain"), ("forget_test", "retain_test")):
        both = np.intersect1d(getattr(split, one), getattr(split, other))
        if both.size:
            raise ConfigError(
                f"split.{one} and split.{other} share {both.size} examples, first {both[0]}: one of them is wanted"
            )
    numbers = tuple(class_numbers(split.classes, "split.classes"))
    limit = np.inf if classes is None else classes
    for number in (
        numbers
        if split.target is None
        else (*numbers, *class_numbers(split.target, "split.target"))
    ):
        if not 0 <= number < limit:
            known = (
                "classes are numbered from 0"
                if classes is None
                else f"classes are 0 to {classes - 1}"
            )
            raise ConfigError(f"split: there is no class {number}; {known}")
    return split._replace(classes=numbers, seed=seed_of(split.seed, "split.seed"))


def check_rows(sources: Sources, split: Any) -> Split:
    """A Split whose row numbers, given in any form, lie in their sources; test rows count only where there is a "test".

    Raises ConfigError for anything else.
    """
    if not isinstance(split, Split):
        raise ConfigError(
            f"split is {kind_of(split)}, not a junlearn.Split: junlearn.split_off makes one"
        )
    rows: dict[str, Any] = {}
    for name, source in PLACES.items():
        given = getattr(split, name)
        if given is None and name == "manipulated":
            continue
        size = sources[source].y.shape[0] if source in sources else None
        rows[name] = rows_of([] if given is None else given, size, f"split.{name}")
    return split._replace(**rows)


def check_once(rows: np.ndarray, where: str) -> None:
    """Raises ConfigError where a row number is there twice."""
    if len(np.unique(rows)) != rows.size:
        raise ConfigError(f"{where} must hold each index only once")


def class_numbers(classes: Any, where: str = "classes") -> list[int]:
    """Class numbers, one or several."""
    numbers = np.atleast_1d(array_of(classes, where))
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ConfigError(
            f"{where} must be numbers of classes, not {numbers.dtype}{list(numbers.shape)}"
        )
    return [int(number) for number in numbers]
