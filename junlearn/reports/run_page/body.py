"""Everything that stands in a report but its pictures, ready to be laid out as a page or as a model card."""

from collections.abc import Sequence
from typing import Any

from junlearn.experiment.records import Record
from junlearn.experiment.references import ranges
from junlearn.reports import tables
from junlearn.reports.audit_cells import Row, methods_first
from junlearn.reports.audit_notes import SETS, title, verdict_entry, verdict_lines
from junlearn.reports.audit_table import audits
from junlearn.reports.columns import first_columns
from junlearn.reports.page.configuration import merged, toml
from junlearn.reports.run_page import by_class
from junlearn.reports.run_page.account import done, facts, request
from junlearn.reports.run_page.comparison import comparison, everything
from junlearn.reports.run_page.reported import Experiment, Subject

__all__ = ["COMMAND", "body"]

COMMAND = "python -m junlearn.main --config experiment.toml"
"""What makes an experiment again, with its configuration in `experiment.toml`."""


def body(subject: Subject) -> dict[str, Any]:
    """What the templates ask for; the first experiment is the one that is shown in pictures."""
    experiments = subject.experiments
    first = experiments[0]
    records = [record for experiment in experiments for record in experiment.records]
    found = first.found
    several = len(experiments) > 1
    return {
        "title": f"{len(experiments)} experiments: {first.title} and others" if several else first.title,
        "audits": [_audit(rows) for rows in audits(subject.audits)],
        "experiments": [_experiment(experiment) for experiment in experiments],
        "means": _means(records) if several else None,
        "shown": first.title if several else "",
        "classes": None if found is None else by_class.classes(found),
        "answers": [] if found is None else by_class.answers(found),
        "images": None if found is None or not subject.images else by_class.images(found),
        "missing": _missing(subject),
        "copies": () if found is None else found.copies,
        "facts": facts(records) + ([("Signed with the key", subject.key)] if subject.key else []),
        "command": COMMAND,
        "audit_command": "python -m junlearn.main audit --config experiment.toml",
    }  # fmt: skip


def _experiment(experiment: Experiment) -> dict[str, Any]:
    records = experiment.records
    return {
        "title": experiment.title,
        "request": request(experiment),
        "done": done(records),
        "numbers": comparison(records),
        "all": everything(records),
        "configuration": toml(_configuration(records)),
    }


def _configuration(records: Sequence[Record]) -> dict[str, Any]:
    """What makes all of it again, with as many retrained networks as were asked for last."""
    count, _ = ranges(records)
    found = merged(records)
    return found | {"references": count} if count > 1 else found


def _audit(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "title": title(rows[0]),
        "verdicts": [verdict_entry(row) for row in methods_first(rows)],
        "useful": verdict_lines(rows, SETS[1:]),
    }


def _missing(subject: Subject) -> list[str]:
    """What could not be shown, and how to get it, a line each."""
    first, *others = subject.experiments
    lines = list(subject.remarks)
    if first.absent:
        lines.append(
            f"Predictions, embeddings and images: {first.absent}. The command below makes the networks again, and then "
            "the report shows them."
        )
    if first.found is not None:
        lines += [
            f"{line}. The command below makes it again, and then the report shows it."
            for line in first.found.missing
        ]
        unseen = [n.label for n in first.found.networks if n.embedding is None]
        lines += [f"{label}: its network does not tell its embedding." for label in unseen]
    if not subject.images:
        lines.append("Forgotten images and their names: left out, as it was asked for.")
    elif first.found is not None and first.found.images is None:
        lines.append("Forgotten images and their names: left out, since the request is private.")
    if others:
        lines.append(
            "Pictures of the other experiments: a report on the directory of one of them has them."
        )
    return lines


def _means(records: Sequence[Record]) -> dict[str, Any]:
    """Means over seeds, a line a setting."""
    rows = tables.summary(tables.rows(records))
    fields = [name for name in rows[0] if name.startswith("config/")]
    varied = [n for n in fields if len({row.get(n) for row in rows if row.get(n) is not None}) > 1]
    columns = first_columns({name for record in records for name in record["metrics"]})
    return {
        "heads": [column.heading for column in columns],
        "lines": [
            {
                "role": row["role"],
                "label": row["method"],
                "setting": ", ".join(
                    f"{n.rpartition('/')[2]} {row[n]}" for n in varied if row.get(n) is not None
                ),
                "runs": row["runs"],
                "cells": [_mean(row, column.metric, column.factor) for column in columns],
            }
            for row in rows
        ],
    }


def _mean(row: tables.Row, name: str, factor: int) -> str:
    mean, deviation = row.get(name), row.get(f"{name}_std")
    if not isinstance(mean, int | float):
        return "-"
    tail = f" ± {factor * deviation:.2f}" if isinstance(deviation, int | float) else ""
    return f"{factor * mean:.2f}{tail}"
