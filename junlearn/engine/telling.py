"""Results in words: a line for the prompt, a table, and both for a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from junlearn.display.shown import Table, figure, grid_of, page
from junlearn.text.grids import Grid
from junlearn.text.terminal import printable

__all__ = ["line", "line_of_many", "page_of", "page_of_many", "table", "table_of_many"]

STAGES = 3
"""Stages that a line names."""
ABOUT = ("stage", "epoch", "steps")
"""What an entry of a history has beside metrics."""


def line(result: Any) -> str:
    """What was done, in one line."""
    stages = _by_stage(result.history)
    told = [_stage(name, entries) for name, entries in list(stages.items())[:STAGES]]
    if len(stages) > STAGES:
        told.append(f"{len(stages) - STAGES} more stages")
    parts = [f"{_count(result.variables):,} weights", ", ".join(told) or "no step"]
    parts.append(_time(result.seconds))
    parts += [f"{name} {figure(value)}" for name, value in list(result.reported.items())[:STAGES]]
    if result.certificate:
        parts.append("with a certificate")
    return printable(f"Result: {'; '.join(parts)}")


def table(result: Any, form: str = "text") -> Table:
    """The rows of `Result.table`."""
    return Table(_stages(result), form)


def page_of(result: Any) -> str:
    """The line and the table as HTML."""
    return page(line(result), *([_stages(result)] if result.history else []))


def line_of_many(many: Any) -> str:
    """What was trained, in one line."""
    count = len(many.history)
    weights = _count(many.variables) // max(count, 1)
    parts = [f"{count} networks of {weights:,} weights", _way(many)]
    for name, values in _last(many.history).items():
        parts.append(f"{name} {figure(min(values))} to {figure(max(values))} in the last epoch")
    return printable(f"Many: {'; '.join([*parts, _time(many.seconds)])}")


def _way(many: Any) -> str:
    """How networks were trained, and how many at a time."""
    return (
        f"{many.how}, {many.chunk} at a time" if many.chunk else "all read from where they are kept"
    )


def table_of_many(many: Any, form: str = "text") -> Table:
    """A row a network: its epochs, its steps, and its metrics in the last epoch."""
    names = list(_last(many.history))
    rows = [
        [
            str(number),
            *map(str, (len(history), sum(entry["steps"] for entry in history))),
            *(_cell(history[-1] if history else {}, name) for name in names),
        ]
        for number, history in enumerate(many.history)
    ]
    return Table(grid_of(["network", "epochs", "steps", *names], rows), form)


def page_of_many(many: Any) -> str:
    """The line, and what the networks' metrics are like in the last epoch, as HTML."""
    rows = [
        [name, *(figure(float(kind(values))) for kind in (np.min, np.mean, np.max))]
        for name, values in _last(many.history).items()
    ]
    return page(line_of_many(many), grid_of(["last epoch", "least", "mean", "most"], rows))


def _stages(result: Any) -> Grid:
    rows = []
    for name, entries in _by_stage(result.history).items():
        seconds = result.stages.get(name)
        head = [
            name,
            str(len(entries)),
            f"{sum(entry['steps'] for entry in entries):,}",
            "-" if seconds is None else f"{seconds:.2f}",
        ]
        for metric in _metrics(entries) or [""]:
            ends = [_cell(entries[place], metric) for place in (0, -1)] if metric else ["", ""]
            rows.append([*head, metric, *ends])
            head = [""] * len(head)
    grid = grid_of(["stage", "epochs", "steps", "seconds", "metric", "first", "last"], rows)
    notes = [f"{name} {figure(value)}" for name, value in result.reported.items()]
    return grid._replace(notes=(_time(result.seconds), *notes))


def _stage(name: str, entries: Sequence[Mapping[str, Any]]) -> str:
    told = f"{len(entries)} epoch{'s' if len(entries) > 1 else ''}"
    if "loss" in entries[0]:
        first, last = (_cell(entries[place], "loss") for place in (0, -1))
        told += f", loss {first}{f' to {last}' if len(entries) > 1 else ''}"
    return f"{name} ({told})"


def _by_stage(history: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in history:
        found.setdefault(entry["stage"], []).append(entry)
    return found


def _metrics(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for e in entries for name in e if name not in ABOUT))


def _last(histories: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, list[float]]:
    """Every metric of the last epochs."""
    ends = [history[-1] for history in histories if history]
    return {name: [e[name] for e in ends if name in e] for name in _metrics(ends)}


def _cell(entry: Mapping[str, Any], name: str) -> str:
    return figure(entry[name]) if name in entry else "-"


def _count(variables: Any) -> int:
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(getattr(variables, "params", None)))


def _time(seconds: Mapping[str, float]) -> str:
    compiling = seconds.get("compile", 0.0)
    told = f"{seconds.get('total', 0.0):.1f} s"
    return f"{told}, {compiling:.1f} s of it compiling" if compiling >= 0.05 else told
