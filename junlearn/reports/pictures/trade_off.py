"""What is kept against what is forgotten: a point a method, the retrained network as a star."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from junlearn.experiment.records import Record
from junlearn.reports.pictures.method_runs import Measure, Setting, settings, titles
from junlearn.reports.style import (
    MIDDLE,
    PAGE,
    TEXT,
    Canvas,
    headed,
    legend_below,
    plain,
    with_bars,
)

__all__ = ["trade_off"]

FORGOTTEN = {
    "corrective/corrected": "manipulated examples that are right again, %",
    "accuracy/forget_train": "examples to be forgotten that are still right, %",
}
KEPT = {
    "corrective/retained": "other test examples that are right, %",
    "accuracy/retain_test": "kept test examples that are right, %",
    "accuracy/test": "test examples that are right, %",
    "accuracy/retain_train": "kept training examples that are right, %",
}
NEAR = 3.0
"""How many times wider everything must be than the neighbourhood, for this to have a panel of its own."""
REACH, WIDE = 5.0, 20.0
"""Points around the retrained network that this panel shows at least, and at most."""


def trade_off(
    records: Sequence[Record], *, width: float = PAGE, titled: bool = True, where: str = ""
) -> Figure | None:
    """Accuracy on what is kept against accuracy on what is to be forgotten, with bars of one standard deviation.

    Lines lead to the retrained network, the star: the nearer, the better. Where networks lie far from it, a second
    panel shows its neighbourhood. None where no network has both.
    """
    present = {name for record in records for name in record["metrics"]}
    x = next((name for name in FORGOTTEN if name in present), None)
    y = next((name for name in KEPT if name in present), None)
    if x is None or y is None:
        return None
    found = [
        (setting, across, up)
        for setting in settings(records)
        if (across := setting.metric(x, 100)) and (up := setting.metric(y, 100))
    ]
    if not found:
        return None
    star = next(((a, u) for s, a, u in found if s.role == "retrain"), None)
    reach = None if star is None else _reach(star, [(a, u) for _, a, u in found])
    beside = width >= PAGE
    grid = (1, 1) if reach is None else (1, 2) if beside else (2, 1)
    figure = Canvas(width, 2.9 * grid[0] + 0.2)
    axes = list(figure.subplots(*grid, squeeze=False).flat)
    for number, axis in enumerate(axes):
        plain(axis)
        if star is not None:
            axis.axvline(star[0].mean, color=MIDDLE, lw=0.7, ls=(0, (4, 2)), zorder=1)
            axis.axhline(star[1].mean, color=MIDDLE, lw=0.7, ls=(0, (4, 2)), zorder=1)
        handles = [_point(axis, *place) for place in found]
        if number == 1 and star is not None and reach is not None:
            axis.set_xlim(star[0].mean - reach, star[0].mean + reach)
            # Nothing is above 100 % or below 0 %, and the marks at it stay whole.
            axis.set_xlim(
                max(axis.get_xlim()[0], -0.06 * reach), min(axis.get_xlim()[1], 100 + reach)
            )
            axis.set_ylim(star[1].mean - reach, min(star[1].mean + reach, 100 + 0.06 * reach))
            axis.set_title(f"within {reach:.0f} points of the retrained network", fontsize=TEXT)
        elif reach is not None:
            axis.set_title("all networks", fontsize=TEXT)
        axis.set_xlabel(FORGOTTEN[x], fontsize=TEXT)
        axis.set_ylabel(KEPT[y], fontsize=TEXT)
    legend_below(figure, handles)
    if titled:
        headed(figure, "What is kept against what is forgotten", *titles(records), where)
    return figure


def _point(axis: Axes, setting: Setting, across: Measure, up: Measure) -> Line2D:
    several = across.size > 1
    bars = {"xerr": across.deviation, "yerr": up.deviation} if several else {}
    over = 3 if setting.role == "retrain" else 2
    how = setting.look.point | {"zorder": over}
    return with_bars(axis, across.mean, up.mean, how, setting.label, **bars)


def _reach(
    star: tuple[Measure, Measure], points: Sequence[tuple[Measure, Measure]]
) -> float | None:
    """How far the neighbourhood goes, so that most networks are in it; None where it is not worth a panel."""
    far = sorted(max(abs(a.mean - star[0].mean), abs(u.mean - star[1].mean)) for a, u in points)
    near = max(REACH, 1.2 * far[len(far) // 2])
    return near if near <= WIDE and far[-1] > NEAR * near else None
