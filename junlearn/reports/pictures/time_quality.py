"""Seconds of a method against how far it stays from the retrained network."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from junlearn.experiment.records import Record, spent
from junlearn.reports.pictures.method_runs import Run, columns, settings, titles
from junlearn.reports.style import (
    MIDDLE,
    PAGE,
    SMALL,
    TEXT,
    Canvas,
    balanced,
    caption,
    headed,
    legend_below,
    plain,
    with_bars,
)

__all__ = ["time_quality"]

LEAST = 1e-3
"""Seconds at which a network stands that took less, or nothing: a logarithmic axis has no zero."""
ALONE = {"corrective/corrected": "manipulated examples that are right again, %", "aus": "AUS, %"}
"""What is drawn where no network was retrained."""


def time_quality(
    records: Sequence[Record], *, width: float = PAGE, titled: bool = True, where: str = ""
) -> Figure | None:
    """Seconds, on a logarithmic axis, against the mean absolute distance from the retrained network in points.

    The distance is taken over the accuracies and the attack of `gaps`. Where no network was retrained, quality is the
    share of manipulated examples that are right again, or AUS. Bars are one standard deviation over runs, that of
    the seconds as a factor to both sides. None where
    there is neither.
    """
    found = settings(records)
    measure, said, note = _quality(records)
    points = [
        (setting, seconds, quality)
        for setting in found
        if (seconds := setting.over(lambda run: max(LEAST, spent(run.record))))
        and (quality := setting.over(measure))
    ]
    if not points:
        return None
    figure = Canvas(width, 2.9)
    axis = figure.subplots()
    plain(axis)
    handles = []
    for setting, seconds, quality in points:
        if setting.role == "retrain":
            axis.axvline(seconds.mean, color=MIDDLE, lw=0.7, ls=(0, (4, 2)), zorder=1)
        bars: dict[str, Any] = {}
        if seconds.size > 1:
            factor = 1 + seconds.deviation / seconds.mean
            ends = [[seconds.mean - seconds.mean / factor], [seconds.deviation]]
            bars = {"xerr": ends, "yerr": quality.deviation}
        place = seconds.mean, quality.mean
        handles.append(with_bars(axis, *place, setting.look.point, setting.label, **bars))
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    if note:
        axis.set_yscale("symlog", linthresh=1)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        highest = max(quality.mean + quality.deviation for _, _, quality in points)
        axis.set_ylim(-0.15, 1.6 * max(highest, 1))
    device = caption(records[0]["device"])
    axis.set_xlabel(
        f"seconds of training steps and progress checks, without compilation, {device}",
        fontsize=TEXT,
    )
    axis.set_ylabel(said, fontsize=TEXT)
    if note:
        axis.set_title(balanced(note, int(14 * width)), fontsize=SMALL, color=MIDDLE)
    legend_below(figure, handles)
    if titled:
        headed(figure, "Time against quality", *titles(records), where)
    return figure


def _quality(
    records: Sequence[Record],
) -> tuple[Callable[[Run], float | None], str, str]:
    """What is measured of a run, how the axis is called, and what it is a mean over."""
    shown = columns(records)
    if any(record["role"] == "retrain" for record in records):
        names = [column.metric for column in shown]

        def mean(run: Run) -> float | None:
            found = [abs(gap) for name in names if (gap := run.gap(name)) is not None]
            return 100 * sum(found) / len(found) if found else None

        over = ", ".join(column.heading for column in shown)
        return mean, "distance from retraining, points", f"mean absolute distance over: {over}"
    present = {name for record in records for name in record["metrics"]}
    metric = next((name for name in ALONE if name in present), None)

    def value(run: Run) -> float | None:
        found = run.record["metrics"].get(metric or "")
        return None if found is None else 100 * found

    return value, ALONE.get(metric or "", ""), ""
