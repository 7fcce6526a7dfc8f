"""What a search shows in words: its plan, a table of the best settings, and every trial as CSV."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from junlearn.files import replace
from junlearn.reports import tables
from junlearn.search.best_settings import best_text
from junlearn.search.findings import Found, Tried
from junlearn.search.question import Question
from junlearn.text.terminal import printable
from junlearn.types import Choice, Range

__all__ = ["FILES", "plan", "rows", "settings_text", "table", "write"]

FILES = ("best.toml", "trials.csv")


PROVEN = "holds for settings that were not chosen by the examples to forget: what is found on one request serves others"
"""What a search does to a certificate."""


def plan(question: Question, done: Mapping[str, int], console: Console) -> None:
    """Print what there is to do before any of it is done; `done`: trials of each method that are there."""
    search, seeds = question.search, question.seeds
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("search")
    grid.add_column("")
    objective = question.objective
    grid.add_row("objective", f"{objective.name}: {objective.meaning}")
    never = "" if objective.oracle else "; never the test set"
    grid.add_row("it reads", objective.reads + never)
    for label, space in question.spaces.items():
        fields = "\n".join(printable(f"{name} {_axis(axis)}") for name, axis in space.items())
        grid.add_row(Text(printable(f"method {label}")), Text(fields))
    for label in question.kept:
        grid.add_row(Text(printable(f"method {label}")), "stays as it is")
    for label in question.spaces:
        if label in question.proven:
            grid.add_row(Text(printable(f"proof of {label}")), PROVEN)
    grid.add_row("seeds", ", ".join(map(str, seeds)))
    finished = sum(done.values())
    there = f", {finished} of all are there" if finished else ""
    grid.add_row("trials", f"{search.trials} of each method, chosen by {search.sampler}{there}")
    if search.pruning and len(seeds) > 1:
        grid.add_row(
            "pruning", "between seeds, of trials that are worse than the median of the others"
        )
    if search.seconds is not None:
        grid.add_row("time", f"no trial begins after {search.seconds:g} s of trials together")
    unlearned = search.trials * len(seeds) * len(question.spaces)
    retrained = len(seeds) if objective.reference else 0
    count = f"{len(seeds)} original, {retrained} retrained, at most {unlearned} unlearned"
    grid.add_row("networks", f"{count}")
    console.print(grid, highlight=False)


def _axis(axis: Range | Choice) -> str:
    if isinstance(axis, Choice):
        return "one of " + ", ".join(json.dumps(value) for value in axis.values)
    how = ", log" if axis.log else "" if axis.step is None else f", step {axis.step:g}"
    return f"{axis.low:g} to {axis.high:g}{how}"


def settings_text(settings: Mapping[str, Any]) -> str:
    """Fields and values, numbers in four digits."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {json.dumps(value)}"
        for name, value in settings.items()
    )


def table(found: Found, console: Console) -> None:
    """Print the best settings of every method."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("method", no_wrap=True)
    for heading in (found.objective.name, "trials", "pruned", "failed", "seconds"):
        grid.add_column(heading, justify="right", overflow="fold")
    grid.add_column("best settings")
    for method in found.methods:
        best = method.best
        value = "-" if best is None else _value(best)
        counts = [str(method.count(state)) for state in ("pruned", "failed")]
        grid.add_row(
            Text(printable(method.label)),
            value,
            str(len(method.trials)),
            *counts,
            f"{method.seconds:.0f}",
            Text(printable("-" if best is None else settings_text(best.settings))),
        )
    console.print(grid, highlight=False)
    many = len(found.seeds) > 1
    spread = ", ± standard deviation over the seeds" if many else ""
    data = "the REAL TEST SET" if found.objective.oracle else "held-out data"
    which = "larger" if found.objective.better == "max" else "smaller"
    console.print(
        f"{found.objective.name} on {data}, {which} is better{spread}. The best of many trials looks better there than "
        "it is.",
        highlight=False,
    )


def _value(trial: Tried) -> str:
    spread = "" if trial.spread is None else f"±{trial.spread:.4f}"
    return f"{trial.value:.4f}{spread}"


def rows(found: Found) -> list[tables.Row]:
    """One row a trial, all with the same columns."""
    fields = list(dict.fromkeys(name for m in found.methods for name in m.space))
    parts = list(dict.fromkeys(n for m in found.methods for t in m.trials for n in t.parts))
    listed = []
    for method in found.methods:
        for trial in method.trials:
            row: tables.Row = {
                "method": method.label,
                "trial": trial.number,
                "state": trial.state,
                "best": trial == method.best,
                "objective": found.objective.name,
                "value": trial.value if trial.values else None,
                "value_std": trial.spread,
                "seconds": round(trial.seconds, 3),
                "error": trial.error,
            }
            values = dict(zip(found.seeds, trial.values, strict=False))
            row |= {f"value/seed {seed}": values.get(seed) for seed in found.seeds}
            row |= {f"part/{name}": trial.parts.get(name) for name in parts}
            row |= {f"setting/{name}": _plain(trial.settings.get(name)) for name in fields}
            listed.append(row)
    return listed


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def write(question: Question, found: Found, workdir: Path, command: str) -> list[Path]:
    """Write every trial as CSV and, where a method has a finished one, the best settings; returns the paths."""
    best, trials = (workdir / name for name in FILES)
    tables.write_rows(rows(found), trials)
    if all(method.best is None for method in found.methods):
        return [trials]
    replace(best, best_text(question.table, found, command, str(best)))
    return [best, trials]
