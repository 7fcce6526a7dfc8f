"""How far every network is from the retrained one, metric by metric."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from junlearn.experiment.records import Record
from junlearn.metrics.directions import value_of
from junlearn.reports.columns import Column
from junlearn.reports.pictures.method_runs import Setting, columns, settings, titles
from junlearn.reports.style import (
    INK,
    MIDDLE,
    PAGE,
    SMALL,
    TEXT,
    Canvas,
    headed,
    plain,
    with_bars,
    wrapped,
)

__all__ = ["gaps"]

ROW, LOW_ROW, MANY = 0.17, 0.14, 12
"""Inches of a network's line, and of one where there are more than so many."""
WIDEST = 24
AWAY = "n/a"


def gaps(
    records: Sequence[Record], *, width: float = PAGE, titled: bool = True, where: str = ""
) -> Figure | None:
    """A panel a metric and in it a line a network, with a dot at its distance from the retrained network.

    Several runs of a network are a dot at their mean, and a bar of one standard deviation to each side; each run is
    compared with the retrained network of its own experiment. Without any retrained network the distances are those
    from the original. None where there is nothing to compare, or nothing to compare with.
    """
    found = settings(records)
    base = "retrain" if any(s.role == "retrain" for s in found) else "original"
    reference = next((s for s in found if s.role == base), None)
    others = [setting for setting in found if setting is not reference]
    if reference is None or not others:
        return None
    shown = [column for column in columns(records) if reference.metric(column.metric)]
    if not shown:
        return None
    across = min(len(shown), 4 if width >= PAGE else 2)
    down = -(-len(shown) // across)
    lines = [wrapped(setting.label, WIDEST) for setting in others]
    row = LOW_ROW if len(others) > MANY else ROW
    # A label of several lines takes the room of several networks.
    ends = np.cumsum([0.25 + 0.75 * (1 + line.count("\n")) for line in lines])
    heights = (ends + np.concatenate([[0], ends[:-1]])) / 2 - 0.5
    figure = Canvas(width, 0.4 + down * (row * ends[-1] + 0.72))
    axes = figure.subplots(down, across, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for number, (axis, column) in enumerate(zip(axes.flat, shown, strict=False)):
        _panel(axis, column, reference, others, heights)
        axis.set_ylim(ends[-1] - 0.5, -0.5)
        axis.set_yticks(heights, lines if number % across == 0 else [""] * len(lines))
        axis.tick_params(axis="y", length=0)
    if titled:
        name = "the retrained network" if base == "retrain" else "the original network"
        headed(figure, f"Distance from {name} (the line)", *titles(records), where)
    return figure


def _panel(
    axis: Axes,
    column: Column,
    reference: Setting,
    others: Sequence[Setting],
    heights: np.ndarray,
) -> None:
    plain(axis)
    axis.axvline(0, color=INK, lw=1, ls=reference.look.dashes)
    for place, setting in zip(heights, others, strict=True):
        found = setting.over(
            lambda run: None if (gap := run.gap(column.metric)) is None else column.factor * gap
        )
        if found is None:
            axis.text(
                0.98, place, AWAY, transform=axis.get_yaxis_transform(), color=MIDDLE,
                ha="right", va="center", fontsize=SMALL, style="italic",
                bbox={"color": "white", "pad": 1, "lw": 0},
            )  # fmt: skip
            continue
        error = found.deviation if found.size > 1 else None
        with_bars(axis, found.mean, place, setting.look.point, setting.label, xerr=error)
    low, high = axis.get_xlim()
    least = 0.6 if column.factor == 100 else 0.006
    axis.set_xlim(min(low, -least), max(high, least))
    axis.locator_params(axis="x", nbins=4)
    at = reference.metric(column.metric, column.factor)
    assert at is not None
    spread = f" ± {at.deviation:.1f}" if at.size > 1 else ""
    name = "retrained" if reference.role == "retrain" else "original"
    axis.set_title(f"{column.heading}\n{name} {at.mean:.1f}{spread}", fontsize=TEXT)
    known = value_of(column.metric)
    better = "better →" if known is not None and known.better == "max" else "→ better ←"
    if known is not None and known.better == "min":
        better = "← better"
    axis.set_xlabel(f"points   {better}", fontsize=SMALL)
