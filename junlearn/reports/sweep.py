"""What a sweep shows: its plan, a table of the chosen settings, and its pictures."""

import json
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from junlearn.experiment.folders import in_words, title_of
from junlearn.experiment.records import spent
from junlearn.experiment.sweep import Point, Trial, done, originals
from junlearn.metrics.aggregate import measured
from junlearn.reports import tables
from junlearn.reports.columns import FORGETTING, Column, first_columns
from junlearn.reports.pictures import draw
from junlearn.reports.pictures.of_grid import of_grid
from junlearn.text.terminal import Terminal, printable

__all__ = ["plan", "summary", "table", "write"]

CLASSIC = ("aus", "mia/entropy_balanced_accuracy")
"""What is shown beside the accuracies where no data is manipulated."""

CORRECTED = "corrective/corrected"


def plan(points: Sequence[Point], workdir: Path, console: Console) -> None:
    """Print what there is to do before any of it is done."""
    first = points[0]
    networks = sum((len(p.settings) + 1 + p.experiment.reference) * p.requests for p in points)
    remark = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    finished = sum(done(point, workdir, remark) for point in points)
    axes = {key: list(dict.fromkeys(in_words(p.axes[key]) for p in points)) for key in first.axes}
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("sweep")
    grid.add_column("", justify="right")
    grid.add_column("")
    for key, values in axes.items():
        grid.add_row(_shown(key), str(len(values)), _shown(", ".join(values)))
    methods: dict[str, int] = {}
    for method, _ in first.settings.values():
        methods[method] = methods.get(method, 0) + 1
    for method, count in methods.items():
        grid.add_row(
            _shown(f"method {method}"), str(count), "setting" if count == 1 else "settings"
        )
    grid.add_row("points", str(len(points)), "an experiment each")
    grid.add_row("originals", str(originals(points)), "to train, or to be found in the cache")
    wanted = max(point.experiment.references for point in points)
    if wanted > 1:
        grid.add_row("references", str(wanted), "retrained networks for each request, not one")
    grid.add_row("networks", str(networks), f"to judge, {finished} of them done")
    console.print(grid, highlight=False)


def _columns(runs: Sequence[Sequence[Trial]]) -> list[Column]:
    present = {name for group in runs for trial in group for name in trial.record["metrics"]}
    classic = set(CLASSIC) & present if "corrective/corrected" not in present else set()
    return [*first_columns(present), *(c for c in FORGETTING if c.metric in classic)]


def summary(
    runs: Sequence[Sequence[Trial]], over: Collection[str] = ("seed",)
) -> list[dict[str, Any]]:
    """One row a chosen setting: its place, the number of runs, and mean and sample standard deviation over them.

    Where examples are forgotten and not repaired, `aus_of_means` is AUS of the mean accuracies, with its error.
    """
    rows = []
    for group in runs:
        first = group[0]
        place = {key: value for key, value in first.axes.items() if key not in over}
        row: dict[str, Any] = {key: _plain(value) for key, value in place.items()}
        row |= {"method": first.method, "settings": _text(first.settings), "runs": len(group)}
        for name, values in _values(group, [column.metric for column in _columns(runs)]).items():
            found = measured(values) if values else None
            row[name] = None if found is None else found.mean
            row[f"{name}_std"] = None if found is None or len(values) < 2 else found.deviation
        originals = [
            trial
            for other in runs
            for trial in other
            if trial.record["role"] == "original" and place.items() <= trial.axes.items()
        ]
        score = None
        if first.record["role"] != "original" and CORRECTED not in first.record["metrics"]:
            score = tables.aus_of_means(_accuracies(originals), _accuracies(group))
        row["aus_of_means"] = None if score is None else score.mean
        row["aus_of_means_std"] = None if score is None or len(group) < 2 else score.deviation
        rows.append(row)
    return rows


def _values(group: Sequence[Trial], names: Sequence[str]) -> dict[str, list[float]]:
    """What the runs have of each metric, and what they took (`spent`)."""
    metrics = [trial.record["metrics"] for trial in group]
    found = {name: [m[name] for m in metrics if name in m] for name in names}
    return found | {"seconds": [spent(trial.record) for trial in group]}


def _accuracies(group: Sequence[Trial]) -> list[dict[str, Any]]:
    return [{"scenario": t.record["scenario"], **t.record["metrics"]} for t in group]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else json.dumps(value)


def table(runs: Sequence[Sequence[Trial]], over: Collection[str], console: Console) -> None:
    """Print the rows of `summary`, accuracies in percent."""
    columns = _columns(runs)
    rows = summary(runs, over)
    if any(row["aus_of_means"] is not None for row in rows):
        columns.append(Column("aus_of_means", "AUS of means"))
    axes = [key for key in runs[0][0].axes if key not in over]
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for key in axes:
        grid.add_column(_shown(title_of(key)), justify="right")
    grid.add_column("method", no_wrap=True)
    grid.add_column("settings")
    for column in columns:
        grid.add_column(column.heading.replace(" ", "\n"), justify="right")
    grid.add_column("seconds", justify="right")
    for group, row in zip(runs, rows, strict=True):
        place = {
            k: in_words(v) if isinstance(v, dict) else row[k]
            for k, v in group[0].axes.items()
            if k in axes
        }
        cells = [_cell(row, column.metric, column.factor) for column in columns]
        cells.append(_cell(row, "seconds", 1, 1))
        names = (*(str(place[key]) for key in axes), row["method"], row["settings"])
        grid.add_row(*(_shown(name) for name in names), *cells)
    # Rows longer than the terminal go on in its next line; broken cells could not be read.
    needed = Measurement.get(console, console.options.update(max_width=10_000), grid).maximum
    wide = Terminal(file=console.file, width=max(needed, console.width))
    wide.print(grid, highlight=False)


def _shown(text: str) -> Text:
    """A cell with what a configuration says, as it is."""
    return Text(printable(text))


def _cell(row: dict[str, Any], name: str, factor: int, digits: int | None = None) -> str:
    value, spread = row[name], row[f"{name}_std"]
    if value is None:
        return "-"
    digits = (1 if factor == 100 else 3) if digits is None else digits
    text = f"{factor * value:.{digits}f}"
    return text if spread is None else f"{text}±{factor * spread:.{digits}f}"


def _text(settings: dict[str, Any]) -> str:
    return ", ".join(f"{field} {value}" for field, value in settings.items())


def write(
    found: Sequence[Trial],
    runs: Sequence[Sequence[Trial]],
    over: Collection[str],
    workdir: Path,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Every run and the rows of `summary` as CSV, and the pictures; returns the paths."""
    paths = [workdir / "runs.csv", workdir / "summary.csv"]
    tables.write([trial.record for trial in found], paths[0])
    tables.write_rows(summary(runs, over), paths[1])
    return paths + draw.written(of_grid(runs, over), workdir, formats)
