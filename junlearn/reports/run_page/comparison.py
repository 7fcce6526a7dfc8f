"""The networks of an experiment side by side: numbers, each as it is read."""

from collections.abc import Sequence
from typing import Any

from junlearn.experiment.records import Record, spent
from junlearn.reports.columns import FORGETTING, Column, first_columns, foreign_columns
from junlearn.reports.run_page.meanings import direction, meaning

__all__ = ["comparison", "everything"]

NAMED = 4
"""Values that are named before a sentence on all of their kind."""


def comparison(records: Sequence[Record]) -> dict[str, Any]:
    """The table that is read first: headings with what they mean, and a line for each network."""
    shown = _columns(records)
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
            {
                "role": record["role"],
                "label": record["method"],
                "cells": [_cell(record, column) for column in shown],
                "seconds": f"{spent(record):.1f}",
            }
            for record in records
        ],
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
                [_number(record["metrics"].get(name)) for record in records],
            )
            for name in names
        ],
    }


def _columns(records: Sequence[Record]) -> tuple[Column, ...]:
    present = {name for record in records for name in record["metrics"]}
    asked = dict.fromkeys(n for record in records for n in record["config"].get("metrics", ()))
    others = tuple(column for column in FORGETTING if column.metric in present)
    return first_columns(present) + others + foreign_columns(asked, present)


def _cell(record: Record, column: Column) -> str:
    value = record["metrics"].get(column.metric)
    return "-" if value is None else f"{column.factor * value:.{column.digits}f}"


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
