"""Audits among others: what a method costs for what it leaves, and what N networks can show."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from junlearn.reports.audit_cells import Row, networks
from junlearn.reports.audit_planning import NETWORKS, PLANNED, Planned
from junlearn.reports.audit_style import styles, wrapped
from junlearn.reports.style import BAND, INK, MIDDLE, PAGE, RETRAINED, legend, plain

__all__ = ["costs", "planned"]

ENERGY = "forget/energy"
COLUMNS = 3
RHO_COLORS = {0.0: "#9ecae1", 0.2: "#deebf7"}
LOGARITHMIC = ("forget/klom_mean", "forget/klom_p95")


def costs(rows: Sequence[Row]) -> Figure | None:
    """Seconds to make a network against its ensemble's distance to retraining; None without both for some row.

    Retraining itself stands at distance 0 with the band of its own splits, at the seconds of the twin.
    """
    found = [
        (row, style)
        for row, style in zip(rows, styles(rows), strict=True)
        if row.get("seconds_each", 0) > 0 and ENERGY in row["values"] and row["role"] != "twin"
    ]
    if not found:
        return None
    figure = Figure(figsize=(PAGE, 4.2), layout="constrained")
    axis = figure.subplots()
    handles: list[Artist] = []
    null = next((row["null"][ENERGY] for row in rows if ENERGY in row.get("null", {})), None)
    if null is not None:
        band = axis.axhspan(
            null["low"], null["high"], color=BAND, lw=0, label="perfect unlearner, 95 %"
        )
        handles.append(band)
    twin = next((r for r in rows if r["role"] == "twin" and r.get("seconds_each", 0) > 0), None)
    if twin is not None:
        handles += axis.plot(twin["seconds_each"], 0, label="retraining", **RETRAINED.point)
        if null is not None:
            axis.vlines(twin["seconds_each"], null["low"], null["high"], color=MIDDLE, lw=1.5)
    for row, style in found:
        handles += axis.plot(
            row["seconds_each"], row["values"][ENERGY], label=wrapped(row), **style.point
        )  # fmt: skip
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("seconds to make a network")
    axis.set_ylabel("energy distance to retraining")
    plain(axis)
    legend(figure, handles)
    return figure


def planned(rows: Sequence[Row]) -> Figure | None:
    """What a perfect unlearner scores at each N by simulation, with the null of this audit and its rows.

    The simulated lines and bands are for planning: no verdict comes from them. None where no row has such a metric.
    """
    shown = [p for p in PLANNED if any(p.metric in row["values"] for row in rows)]
    if not shown:
        return None
    lines = -(-len(shown) // COLUMNS)
    columns = min(COLUMNS, len(shown))
    figure = Figure(figsize=(3 * columns + 2.3, 2.3 * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, plan in zip(axes.flat, shown, strict=False):
        _simulated(axis, plan)
        _measured(axis, plan.metric, rows)
        axis.set_title(plan.title, fontsize="small")
        axis.set_xscale("log", base=2)
        if plan.metric in LOGARITHMIC:
            axis.set_yscale("log")
        axis.set_xticks(NETWORKS, [str(n) for n in NETWORKS])
        plain(axis)
    figure.supxlabel("networks a side, N", fontsize="small")
    legend(figure, _handles(rows))
    return figure


def _simulated(axis: Axes, plan: Planned) -> None:
    for rho in sorted(plan.bands, reverse=True):
        band = plan.bands[rho]
        axis.fill_between(NETWORKS, band.low, band.high, color=RHO_COLORS[rho], lw=0)
    for means in plan.means.values():
        axis.plot(NETWORKS, means, color=MIDDLE, lw=0.7)


def _measured(axis: Axes, metric: str, rows: Sequence[Row]) -> None:
    """The null of the audit as a bar, and beside it a mark for each row."""
    drawn = set()
    for row, style in zip(rows, styles(rows), strict=True):
        count = networks(row)
        if count is None:
            continue
        null = row.get("null", {}).get(metric)
        if null is not None and count not in drawn:
            drawn.add(count)
            errors = [[null["median"] - null["low"]], [null["high"] - null["median"]]]
            axis.errorbar(count, null["median"], errors, color=INK, marker="_", capsize=3, lw=1.4)
        if metric in row["values"] and row["role"] != "twin":
            value = row["values"][metric]
            axis.plot(
                count * 1.18, value, marker=style.marker, ms=5, ls="", color=style.color, alpha=0.8
            )


def _handles(rows: Sequence[Row]) -> list[Artist]:
    handles: list[Artist] = [
        Patch(color=RHO_COLORS[0.0], label="simulated, 95 %, rho 0"),
        Patch(color=RHO_COLORS[0.2], label="simulated, 95 %, rho 0.2"),
        Line2D([], [], color=MIDDLE, lw=0.7, label="simulated means,\none a law of margins"),
        Line2D([], [], color=INK, marker="|", ms=12, ls="", label="null of this audit"),
    ]
    for row, style in zip(rows, styles(rows), strict=True):
        if row["role"] != "twin":
            mark = Line2D([], [], marker=style.marker, ls="", color=style.color, label=wrapped(row))
            handles.append(mark)
    return handles
