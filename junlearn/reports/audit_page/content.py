"""What stands on the page of an audit: words and numbers, from its rows and arrays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from junlearn.reports.audit_cells import Row, cell, label, methods_first
from junlearn.reports.audit_columns import columns
from junlearn.reports.audit_notes import (
    SETS,
    null_lines,
    power_lines,
    remark_lines,
    title,
    verdict_entry,
    verdict_lines,
    worst_lines,
)
from junlearn.reports.audit_page.glossary import glossary
from junlearn.reports.audit_page.per_example import Listing, class_name, listing
from junlearn.reports.audit_page.protocol import SCOPE, protocol
from junlearn.reports.audit_plots import names
from junlearn.reports.audit_style import Example, Examples, example_of
from junlearn.reports.page.configuration import configurations
from junlearn.reports.page.drawings import thumbnail

__all__ = ["content"]

QUESTIONS = {
    "request": "Can networks that unlearned be told from networks that were retrained without the examples, by their "
    "outputs?",
    "random": "Can an example that a network has forgotten be told from one that it has never seen, by its outputs?",
}
REFERENCES = {
    "original": "Original: networks that forgot nothing.",
    "twin": "Twin: networks that were retrained once more and judged as the methods are, the example of a perfect "
    "unlearner.",
}
MOST_CLASSES, MOST_IMAGES = 30, 48
"""Classes and sample images on a page; how many more there are is said."""
TIMES = {
    "bank": "training",
    "unlearn": "unlearning",
    "outputs": "outputs",
    "metrics": "metrics",
    "null": "nulls",
}
PARTS = ("median", "low", "high")


def content(rows: Sequence[Row], examples: Examples, command: str | None) -> dict[str, Any]:
    """Everything that the template of the page asks for but the pictures; `rows` are of one bank, in their order."""
    first = rows[0]
    found = [example_of(row, examples) for row in rows]
    judged = methods_first(rows)
    shown = columns(first)
    return {
        "title": title(first),
        "question": QUESTIONS.get(first["design"], ""),
        "references": [REFERENCES[row["role"]] for row in rows if row["role"] in REFERENCES],
        "verdicts": [verdict_entry(row) for row in judged],
        "useful": verdict_lines(rows, SETS[1:]),
        "forgotten": _forgotten(first, found),
        "headings": shown,
        "table": [(label(row), row["role"], [cell(row, c) for c in shown]) for row in rows],
        "nulls": null_lines(rows),
        "powers": power_lines(rows),
        "worst": worst_lines(rows),
        "details": [
            _details(row, name, listing(example_of(row, examples)))
            for row, name in zip(judged, names(judged), strict=True)
        ],
        "glossary": glossary(metric for row in rows for metric in row["values"]),
        "protocol": protocol(rows),
        "remarks": remark_lines(rows),
        "scope": SCOPE,
        "facts": _facts(rows),
        "times": _times(rows),
        "configurations": configurations(rows),
        "command": command or "junlearn audit --config audit.toml",
    }


def _forgotten(row: Row, found: Sequence[Example]) -> dict[str, Any]:
    """How many examples of which classes, and a sample of their images."""
    labelled = next((example for example in found if "label" in example), {})
    classes, counts = np.unique(labelled.get("label", np.zeros(0, int)), return_counts=True)
    most = np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
    pictured = next((example for example in found if "sample_images" in example), {})
    images = pictured.get("sample_images", ())
    labels = pictured.get("sample_labels")
    return {
        "counts": _counts(row.get("examples", {})),
        "classes": [(class_name(labelled, classes[i]), int(counts[i])) for i in most],
        "other_classes": max(0, len(classes) - MOST_CLASSES),
        "images": [
            (thumbnail(image), "" if labels is None else class_name(pictured, labels[i]))
            for i, image in enumerate(images[:MOST_IMAGES])
        ],
        "other_images": max(0, len(images) - MOST_IMAGES),
    }


def _counts(numbers: Mapping[str, int]) -> str:
    if "forget" not in numbers:
        return "How many examples were to be forgotten is not recorded."
    said = f"{numbers['forget']:,} examples were to be forgotten."
    others = {"retain": "examples that were to be kept", "test": "test examples"}
    looked = [f"{numbers[name]:,} {words}" for name, words in others.items() if name in numbers]
    return f"{said} The audit also looks at {' and at '.join(looked)}." if looked else said


def _details(row: Row, name: str, own: Listing | None) -> dict[str, Any]:
    return {
        "label": label(row),
        "name": name,
        "verdict": verdict_entry(row),
        "values": list(_values(row)),
        "listing": own,
    }


def _values(row: Row) -> Iterator[list[str]]:
    """For every value: its name and itself, the null, p values, the interval and what could have been seen."""
    for metric, value in row["values"].items():
        null = row.get("null", {}).get(metric)
        low_high = row.get("interval", {}).get(metric)
        band = (
            "" if null is None else "{} [{}, {}]".format(*(_number(null[part]) for part in PARTS))
        )
        yield [
            metric,
            _number(value),
            band,
            "" if null is None else f"{null['source']}, {null['draws']}",
            *(_number(row.get(group, {}).get(metric)) for group in ("p", "p_holm")),
            "" if low_high is None else "[{}, {}]".format(*map(_number, low_high)),
            _number(row.get("detectable", {}).get(metric)),
        ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Hashes, versions, devices and times, each different one once."""

    def each(name: str) -> str:
        return ", ".join(dict.fromkeys(str(row[name]) for row in rows if name in row))

    versions: dict[str, dict[str, None]] = {}
    for row in rows:
        for package, version in row.get("versions", {}).items():
            versions.setdefault(package, {})[str(version)] = None
    return [
        ("Device", each("device")),
        ("Made", each("time")),
        ("Hash of the bank", each("bank_hash")),
        ("Hashes of the configurations", each("config_hash")),
        ("Arrays per example", each("examples_file") or "none"),
        *((package, ", ".join(found)) for package, found in versions.items()),
    ]


def _times(rows: Sequence[Row]) -> dict[str, Any]:
    """Seconds of every row, and their sum, in which the bank that serves all rows is counted once."""
    spent: list[Mapping[str, float]] = [row.get("seconds", {}) for row in rows]
    shown = [name for name in TIMES if any(name in seconds for seconds in spent)]
    bank = max((seconds.get("bank", 0.0) for seconds in spent), default=0.0)
    others = sum(value for seconds in spent for name, value in seconds.items() if name != "bank")
    lines = [
        (label(row), [f"{seconds[n]:.1f}" if n in seconds else "-" for n in shown])
        for row, seconds in zip(rows, spent, strict=True)
    ]
    return {"heads": [TIMES[n] for n in shown], "lines": lines, "sum": f"{bank + others:.1f}"}
