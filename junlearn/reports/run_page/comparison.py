"""The networks of an experiment side by side: numbers, each as it is read."""

from collections.abc import Mapping, Sequence
from typing import Any

from junlearn.experiment.records import Record, spent
from junlearn.experiment.references import Range, ranges
from junlearn.reports.columns import FORGETTING, Column, first_columns, foreign_columns
from junlearn.reports.run_page.meanings import direction, meaning
from junlearn.reports.uncertainty import among, between, interval_of, intervals, place, small

__all__ = ["comparison", "everything"]

NAMED = 4
"""Values that are named before a sentence on all of their kind."""


def comparison(records: Sequence[Record]) -> dict[str, Any]:
    """The table that is read first: headings with what they mean, and a line for each network."""
    shown = _columns(records)
    count, found = ranges(records)
    return {
        "heads": [
            {
                "heading": column.heading,
                "sign": direction(column.metric)[0],
                "words": _words(column.metric, "In percent." if column.factor == 100 else ""),
            }
            for column in shown
        ],
        "lines": [
            line
            for record in records
            for line in (
                {
                    "role": record["role"],
                    "label": record["method"],
                    "cells": [_cell(record, column, found) for column in shown],
                    "seconds": f"{spent(record):.1f}",
                },
                *_among(record, shown, count, found),
            )
        ],
        "notes": _notes(records),
    }


def everything(records: Sequence[Record]) -> dict[str, Any]:
    """Every value of every network, a line each, and what they mean: sentences, each with the values that it is on."""
    names = dict.fromkeys(name for record in records for name in record["metrics"])
    meanings: dict[str, list[str]] = {}
    for name in names:
        meanings.setdefault(_words(name), []).append(name)
    return {
        "networks": [record["method"] for record in records],
        "meanings": [(words, _listed(names)) for words, names in meanings.items()],
        "lines": [
            (
                name,
                direction(name)[0],
                [_value(record, name) for record in records],
            )
            for name in names
        ],
    }


def _columns(records: Sequence[Record]) -> tuple[Column, ...]:
    present = {name for record in records for name in record["metrics"]}
    asked = dict.fromkeys(n for record in records for n in record["config"].get("metrics", ()))
    others = tuple(column for column in FORGETTING if column.metric in present)
    return first_columns(present) + others + foreign_columns(asked, present)


def _cell(record: Record, column: Column, found: Mapping[str, Range]) -> dict[str, str]:
    """A value, and below it its interval."""
    value = record["metrics"].get(column.metric)
    if value is None:
        return {"value": "-", "bounds": ""}
    mark = "" if record["role"] == "retrain" else place(value, found.get(column.metric))
    interval = interval_of(record, column.metric)
    return {
        "value": f"{column.factor * value:.{column.digits}f}{mark}",
        "bounds": "" if interval is None else between(interval, column),
    }


def _among(
    record: Record, columns: Sequence[Column], count: int, found: Mapping[str, Range]
) -> list[dict[str, Any]]:
    """Below the retrained network a line with the ranges among several."""
    if record["role"] != "retrain" or count < 2:
        return []
    texts = [(r := found.get(column.metric)) and between(r, column) for column in columns]
    cells = [{"value": text or "", "bounds": ""} for text in texts]
    return [{"role": "among", "label": f"among {count}", "cells": cells, "seconds": ""}]


def _notes(records: Sequence[Record]) -> list[str]:
    """What has to be known of the numbers, a sentence each."""
    warning = small(records)
    lines = [f"Warning: {warning}."] if warning else []
    count, _ = ranges(records)
    if any("intervals" in record for record in records):
        lines.append(intervals(count))
    return [*lines, among(count)] if count > 1 else lines


def _value(record: Record, name: str) -> dict[str, str]:
    interval = interval_of(record, name)
    bounds = "" if interval is None else between(interval, Column(name, name))
    return {"value": _number(record["metrics"].get(name)), "bounds": bounds}


def _listed(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are: they stand in the table above."""
    more = f" and {len(names) - NAMED} more such" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _words(metric: str, unit: str = "") -> str:
    """What a value is, in which unit, and which way is good."""
    way = direction(metric)[1]
    return " ".join(filter(None, (meaning(metric), unit, way and f"{way[0].upper()}{way[1:]}.")))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 9):.4g}"
