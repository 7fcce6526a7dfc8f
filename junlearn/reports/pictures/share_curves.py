"""How much is repaired, and kept, when so much of what was manipulated is known: the curves of corrective papers."""

from collections.abc import Collection, Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from junlearn.experiment.folders import words
from junlearn.experiment.sweep import Trial
from junlearn.metrics.aggregate import measured
from junlearn.reports.columns import MANIPULATED, Column
from junlearn.reports.pictures.method_runs import looks
from junlearn.reports.style import (
    PAGE,
    TEXT,
    Canvas,
    Look,
    headed,
    legend_below,
    plain,
    with_bars,
    wrapped,
)

__all__ = ["share_curves"]

CURVES = ("corrective/corrected", "corrective/retained")
SHARE = "scenario.share"
IDENTIFIED = "scenario.identified"
ACROSS = 3
"""Panels side by side that fit into PAGE; more make the picture wider."""


def share_curves(
    runs: Sequence[Sequence[Trial]], over: Collection[str] = ("seed",)
) -> Figure | None:
    """Acc_corr and Acc_retain against the share of S_m that is known, a line a method and a column of panels for each
    other place on the grid; the network before any repair is a horizontal line, as far as it is known at each share.

    Bars are one standard deviation over runs. None without an axis of shares, or without these accuracies.
    """
    present = {name for group in runs for trial in group for name in trial.record["metrics"]}
    metrics = [
        column for column in MANIPULATED if column.metric in CURVES and column.metric in present
    ]
    axis_of_x = next((key for key in (SHARE, IDENTIFIED) if key in runs[0][0].axes), None)
    if axis_of_x is None or axis_of_x in over or not metrics:
        return None
    panels: dict[str, list[Sequence[Trial]]] = {}
    for group in runs:
        others = {k: v for k, v in group[0].axes.items() if k not in (*over, axis_of_x)}
        panels.setdefault(words(others), []).append(group)
    networks = dict.fromkeys((group[0].record["role"], group[0].method) for group in runs)
    styles = dict(zip(networks, looks(list(networks)), strict=True))
    figure = Canvas(PAGE * max(1, len(panels) / ACROSS), 2.1 * len(metrics))
    axes = figure.subplots(len(metrics), len(panels), squeeze=False)
    handles: dict[str, Artist] = {}
    for place, (title, groups) in enumerate(panels.items()):
        for row, column in enumerate(metrics):
            axis = axes[row][place]
            plain(axis)
            handles |= _lines(axis, groups, column, axis_of_x, styles)
            axis.set_ylabel(f"{column.heading} in %, better ↑", fontsize=TEXT)
            axis.set_ylim(-3, 103)
            if row == 0:
                axis.set_title(wrapped(title, 30), fontsize=TEXT)
        said = "share of the manipulated set that is known"
        axes[-1][place].set_xlabel(said if axis_of_x == SHARE else "examples known", fontsize=TEXT)
    legend_below(figure, list(handles.values()))
    record = runs[0][0].record
    headed(figure, "Repair", record["dataset"], record["model"], f"scenario {record['scenario']}")
    return figure


def _lines(
    axis: Axes,
    groups: Sequence[Sequence[Trial]],
    column: Column,
    axis_of_x: str,
    styles: Mapping[tuple[str, str], Look],
) -> dict[str, Artist]:
    """Draw a line a method: mean and standard deviation of a metric at each share."""
    lines: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for group in groups:
        found = [trial.record["metrics"].get(column.metric) for trial in group]
        values = [column.factor * value for value in found if value is not None]
        if values:
            spread = measured(values).deviation if len(values) > 1 else 0.0
            place = group[0].axes[axis_of_x], measured(values).mean, spread
            lines.setdefault((group[0].record["role"], group[0].method), []).append(place)
    handles: dict[str, Artist] = {}
    for network, points in lines.items():
        shares, means, spreads = map(list, zip(*sorted(points), strict=True))
        bars = {"yerr": spreads} if any(spreads) else {}
        handles[network[1]] = with_bars(
            axis, shares, means, styles[network].line, network[1], **bars
        )
    return handles
