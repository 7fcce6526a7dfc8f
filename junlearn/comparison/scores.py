"""What a number of a record is, and what it is worth: by its direction, or by its gap to the retrained network."""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from junlearn.experiment.records import Record, spent
from junlearn.metrics.directions import value_of

__all__ = ["GAP", "SECONDS", "Better", "better", "gap_parts", "number", "score"]

GAP, SECONDS = "gap", "seconds"
"""Columns that are no metric."""
Better = Literal["max", "min", "retrain"]

TRAINED = ("accuracy/retain_train", "accuracy/forget_train")
TESTED = ("accuracy/retain_test", "accuracy/forget_test")
WHOLE = ("accuracy/test",)
"""In the mean gap where the test set is not told apart: else its examples would count twice."""
ATTACKS = (
    *("mia/entropy", "mia_svc/confidence_member", "mia_svm/balanced_accuracy"),
    *("asr/laf", "asr/camu"),
)
"""The first of them that all networks have is the attack in the mean gap."""


def better(column: str, gaps: bool = False) -> Better | None:
    """Which values of a column are the better ones; None where that is not known."""
    if gaps or column in (GAP, SECONDS):
        return "min"
    value = value_of(column)
    return None if value is None else value.better or "retrain"


def number(
    record: Record, column: str, retrain: Record | None, parts: Collection[str], gaps: bool = False
) -> float | None:
    """What a record has in a column; with `gaps` how far that is from what the retrained network of its run has.

    `parts` are what the column GAP is the mean over.
    """
    if column == SECONDS:
        return spent(record)
    if column == GAP:
        found = [distance(record, retrain, name) for name in parts]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None
    return distance(record, retrain, column) if gaps else record["metrics"].get(column)


def distance(record: Record, retrain: Record | None, column: str) -> float | None:
    """`|x - x_retrain|` in a column; None where either is missing."""
    own = record["metrics"].get(column)
    other = None if retrain is None else retrain["metrics"].get(column)
    return None if own is None or other is None else abs(own - other)


def score(
    record: Record, column: str, retrain: Record | None, parts: Collection[str], gaps: bool = False
) -> float | None:
    """What the number of a record is worth, the smaller the better; None where that is not known."""
    way = better(column, gaps)
    if way == "retrain":
        return distance(record, retrain, column)
    value = number(record, column, retrain, parts, gaps)
    return None if value is None or way is None else -value if way == "max" else value


def gap_parts(records: Iterable[Record]) -> tuple[str, ...]:
    """The quantities in the mean gap: the accuracies and the attack that all of these records have."""
    metrics: list[Mapping[str, float]] = [record["metrics"] for record in records]

    def common(names: Iterable[str]) -> list[str]:
        return [name for name in names if metrics and all(name in own for own in metrics)]

    return (*common(TRAINED), *(common(TESTED) or common(WHOLE)), *common(ATTACKS)[:1])
