"""Records as pictures: loss curves of each method's stages, accuracies and relearning of all methods side by side.

Of a stream they are those of its last request, and there is one more: every network over all requests.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from junlearn.experiment.records import Record, number_of
from junlearn.reports import requests
from junlearn.reports.columns import first_columns
from junlearn.reports.style import caption, save

__all__ = ["accuracies", "curves", "over_requests", "relearning", "write"]

GAP = "relearn_retain/gap/"
"""What the name of a metric begins with, before the number of steps."""
MARK: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": "x-small"}
"""How a word stands in the place of a bar."""
OVER_REQUESTS = {
    requests.FORGOTTEN: "forgotten so far, % right",
    requests.RETAINED: "retained, % right",
    "accuracy/retain_test": "test, retained, % right",
    "js/forget_train": "JS divergence to retraining",
    "distance/retrain/total": "distance of weights to retraining",
}
"""What is drawn over the requests of a stream, with the titles of the panels."""
LOOKS: dict[str, dict[str, Any]] = {
    "original": {"color": "grey", "linestyle": ":"},
    "retrain": {"color": "black", "linestyle": "--", "linewidth": 2},
}
"""Lines of the networks that every run has."""
MARKERS = "osvD^P*X<>"
COLUMNS = 3
"""Panels side by side in a figure of curves."""


def write(records: Sequence[Record], directory: Path) -> list[Path]:
    """All pictures of a run as PNG files in `directory`, which is made; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    shown = requests.last(records)
    figures = {f"curves_{record['method']}": curves(record) for record in shown}
    figures |= {"accuracies": accuracies(shown), "relearning": relearning(shown)}
    figures |= {"requests": over_requests(records)}
    paths = []
    for name, figure in figures.items():
        if figure is None:
            continue
        paths.append(directory / f"{name}.png")
        save(figure, paths[-1])
    return paths


def curves(record: Record, columns: int = COLUMNS, *, titled: bool = True) -> Figure | None:
    """A panel for every loss of every stage, its mean over each epoch; None if the method has no losses.

    At most so many `columns` of panels stand side by side; `titled`: over them stands which run it is.
    """
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for entry in record["history"]:
        for name, value in entry.items():
            if "loss" in name:
                points = series.setdefault((entry["stage"], name), [])
                points.append((len(points) + 1, value))
    if not series:
        return None
    columns = min(columns, len(series))
    rows = -(-len(series) // columns)
    figure = Figure(figsize=(4 * columns, 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(series) :]:
        axis.set_visible(False)
    for axis, ((stage, name), points) in zip(axes.flat, series.items(), strict=False):
        axis.plot(*zip(*points, strict=True), marker=".")
        axis.set_title(caption(stage), fontsize="medium")
        axis.set_ylabel(caption(name))
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.supxlabel("epoch", fontsize="medium")
    if titled:
        figure.suptitle(_title(record, record["method"]))
    return figure


def accuracies(records: Sequence[Record]) -> Figure | None:
    """A group of bars for every network, one bar a split, in percent; None if no accuracy was measured.

    A value that is not there leaves a gap with "n/a" in it, a true zero says "0".
    """
    shown = first_columns({name for record in records for name in record["metrics"]})
    if not shown:
        return None
    width = 0.8 / len(shown)
    figure = Figure(figsize=(max(6.0, 1.3 * len(records)), 3.6), layout="constrained")
    axis = figure.subplots()
    for number, column in enumerate(shown):
        found = [record["metrics"].get(column.metric) for record in records]
        places = [i + (number - (len(shown) - 1) / 2) * width for i in range(len(records))]
        heights = [float("nan") if value is None else 100 * value for value in found]
        bars = axis.bar(places, heights, width, label=column.heading)
        for place, value in zip(places, found, strict=True):
            if value is None:
                axis.text(place, 1, "n/a", color="grey", rotation="vertical", **MARK)
            elif value == 0:
                axis.text(
                    place, 1, "0", color=bars.patches[0].get_facecolor(), weight="bold", **MARK
                )
    names = [caption(record["method"]) for record in records]
    axis.set_xticks(range(len(records)), names, rotation=30, ha="right")
    axis.set_xlim(-0.5, len(records) - 0.5)
    axis.set_ylabel("accuracy in %")
    axis.set_ylim(0, 102)
    axis.legend(ncols=len(shown), fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.suptitle(_title(records[0], f"seed {records[0]['seed']}"))
    return figure


def relearning(records: Sequence[Record]) -> Figure | None:
    """A line for every network with the metric `relearn_retain`: by how many points its accuracy on the forget set is
    below that on the retain set, against steps of training on the latter; None if there is none.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axis = figure.subplots()
    for record in records:
        found = record["metrics"].items()
        points = [(int(n.removeprefix(GAP)), 100 * v) for n, v in found if n.startswith(GAP)]
        if points:
            axis.plot(
                *zip(*sorted(points), strict=True), marker=".", label=caption(record["method"])
            )
    if not axis.lines:
        return None
    axis.set_xlabel("steps on the retain set")
    axis.set_ylabel("retain less forget train, points")
    axis.legend(fontsize="small")
    figure.suptitle(_title(records[0], f"seed {records[0]['seed']}"))
    return figure


def over_requests(records: Sequence[Record]) -> Figure | None:
    """Panels over the requests of a stream, a line a network: accuracy on all that is forgotten so far and on what is
    retained, and distances to the retrained network; None where there are no several requests, or none of these.
    """
    present = {name for record in records for name in record["metrics"]}
    panels = {metric: title for metric, title in OVER_REQUESTS.items() if metric in present}
    if not any(map(number_of, records)) or not panels:
        return None
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis, (metric, title) in zip(axes, panels.items(), strict=False):
        factor = 100 if metric.startswith("accuracy/") else 1
        for number, label in enumerate(requests.networks(records)):
            points = requests.series(records, label, metric)
            axis.plot(
                list(points),
                [factor * value for value in points.values()],
                label=caption(label),
                **LOOKS.get(label, {"marker": MARKERS[number % len(MARKERS)], "markersize": 4}),
            )
        axis.set_title(title, fontsize="medium")
        axis.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="small", loc="outside right upper", frameon=False)
    figure.supxlabel("request", fontsize="medium")
    figure.suptitle(_title(records[0], f"seed {records[0]['seed']}"))
    return figure


def _title(record: Record, last: str) -> str:
    return caption(", ".join([record["dataset"], record["model"], record["scenario"], last]))
