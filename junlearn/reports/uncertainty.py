"""How the uncertainty of values is written: intervals, ranges among retrained networks, and warnings of small sets."""

from collections.abc import Sequence

from junlearn.experiment.records import Record
from junlearn.experiment.references import Range
from junlearn.metrics import Interval
from junlearn.metrics.intervals import NOT_COVERED, few
from junlearn.reports.columns import Column

__all__ = ["SEVERAL", "among", "between", "interval_of", "intervals", "place", "small"]

SEVERAL = "--references 5"
"""How the command line is asked for several retrained networks."""

NAMED = ("mia/entropy", "accuracy/forget_train")
"""Rates of the forget set, one of which a warning names."""


def intervals(count: int, asked: str = SEVERAL) -> str:
    """What the intervals of a table are, and what they are not; `asked` shows the spread among retrained networks.

    `count` of these are in the table: where there are several, nobody has to ask for them.
    """
    where = f"the row among {count}" if count > 1 else asked
    return f"Below each value its 95 % interval: {NOT_COVERED}; {where} shows it, an audit judges by it."


def interval_of(record: Record, metric: str) -> Interval | None:
    """The interval of a metric, where the record has it."""
    found = record.get("intervals", {}).get(metric)
    return None if found is None else (found[0], found[1])


def between(bounds: tuple[float, float], column: Column) -> str:
    """Two bounds in the unit of a column, with as many digits as their distance asks for, such as `97.4–99.2`."""
    low, high = (column.factor * value for value in bounds)
    unit = 100 if column.factor == 100 else 1
    digits = min(column.digits, 1 if unit == 100 else 3)
    if high - low >= unit / 20:
        digits = max(digits - 1, 0)
    return "–".join(dict.fromkeys(_brief(value, digits) for value in (low, high)))


def _brief(value: float, digits: int) -> str:
    """A number without the zero before its point, and without digits where these are zeros."""
    text = f"{value:.{digits}f}"
    if float(text) in (0.0, 1.0, 100.0):
        return f"{abs(float(text)):.0f}"
    return text[1:] if text.startswith("0.") and digits > 1 else text


def place(value: float, found: Range | None) -> str:
    """An arrow where a value is above or below all retrained networks; else empty."""
    if found is None or found.low <= value <= found.high:
        return ""
    return "↑" if value > found.high else "↓"


def among(count: int) -> str:
    """What the ranges among so many retrained networks are."""
    compared = (
        f" JS, agreement, ToW: {count - 1} of them, each compared with the first."
        if count > 2
        else ""
    )
    return (
        f"Among {count}: the smallest and the largest value of {count} retrained networks, which differ in their "
        f"initial weights and the order of the data.{compared} ↑ or ↓ behind a value: above or below all of them."
    )


def small(records: Sequence[Record]) -> str:
    """A warning where few examples were forgotten, with what that makes of a rate; else empty."""
    count = records[0].get("request", {}).get("forget")
    line = few("the forget set", count) if isinstance(count, int) else ""
    if not line:
        return ""
    judged = sorted(records, key=lambda record: record["role"] != "unlearn")
    for metric in NAMED:
        for record in judged:
            if (found := interval_of(record, metric)) is not None:
                said = f"{metric} of {record['method']} is {record['metrics'][metric]:.2f}"
                return f"{line}; {said}, its interval {found[0]:.2f} to {found[1]:.2f}"
    return line
