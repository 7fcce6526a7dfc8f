"""Several retrained networks of one request: the range of a metric among them is what chance alone makes of it.

The first is the retrained network of every run, and methods are compared with it. Those after it differ from it in the
initial weights and in the order of the data. What a metric says of a network by itself, such as an accuracy, is there
of each of them. What compares with the retrained network, such as a divergence, is there of those after the first, each
compared with the first: two networks that both never saw the forget set, so what is left is chance.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from junlearn.errors import ConfigError
from junlearn.experiment.records import Record, spent
from junlearn.metrics.directions import compares

__all__ = ["Range", "added", "check", "count", "price", "ranges"]


class Range(NamedTuple):
    """Of a metric among retrained networks."""

    low: float
    high: float


def check(wanted: int, reference: bool) -> None:
    """Raises ConfigError for several retrained networks where there is none."""
    if wanted > 1 and not reference:
        raise ConfigError(
            f"references: {wanted} retrained networks are asked for, and with reference = false there is none: leave "
            "one of the two out"
        )


def count(record: Record) -> int:
    """How many retrained networks the record of the first one tells of."""
    return int(record.get("references", {}).get("count", 1))


def price(record: Record, more: int) -> str:
    """What so many more retrained networks cost, in words."""
    networks = f"{more} more retrained network{'s' * (more > 1)}"
    return f"references: {networks}, trained one after the other or read back; the first took {spent(record):.1f} s"


def added(record: Record, others: Sequence[Mapping[str, float]]) -> Record:
    """The record of the first retrained network with the metrics of the others, in their order."""
    found: dict[str, list[float]] = {}
    for name, value in record["metrics"].items():
        values = [] if compares(name) else [value]
        values += [other[name] for other in others if name in other]
        if values and all(map(math.isfinite, values)):
            found[name] = values
    told = {"count": 1 + len(others), "metrics": found}
    return {**record, "references": told}


def ranges(records: Sequence[Record]) -> tuple[int, dict[str, Range]]:
    """How many retrained networks there are, and of every metric its range among them; (1, {}) where there is one."""
    for record in records:
        if record["role"] == "retrain" and count(record) > 1:
            values = record["references"]["metrics"]
            found = {name: Range(min(v), max(v)) for name, v in values.items() if len(v) > 1}
            return count(record), found
    return 1, {}
