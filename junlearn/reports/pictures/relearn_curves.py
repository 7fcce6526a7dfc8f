"""How the forget set stays behind while the networks learn from the retain set again."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from junlearn.experiment.records import Record
from junlearn.reports.pictures.method_runs import settings, titles
from junlearn.reports.style import PAGE, TEXT, Canvas, headed, legend_below, plain, with_bars

__all__ = ["relearning"]

GAP = "relearn_retain/gap/"
"""What the name of a metric begins with, before the number of steps."""


def relearning(
    records: Sequence[Record], *, width: float = PAGE, titled: bool = True
) -> Figure | None:
    """A line for every network with the metric `relearn_retain`: by how many points its accuracy on the forget set is
    below that on the retain set, against steps of training on the latter; None if there is none.
    """
    figure = Canvas(width, 2.6)
    axis = figure.subplots()
    plain(axis)
    handles = []
    for setting in settings(records):
        names = {n for run in setting.runs for n in run.record["metrics"] if n.startswith(GAP)}
        steps = sorted(int(name.removeprefix(GAP)) for name in names)
        found = [m for step in steps if (m := setting.metric(f"{GAP}{step}", 100))]
        if found:
            bars = [measure.deviation for measure in found]
            means = [measure.mean for measure in found]
            error = bars if found[0].size > 1 else None
            handles.append(
                with_bars(axis, steps, means, setting.look.line, setting.label, yerr=error)
            )
    if not handles:
        return None
    axis.set_xlabel("steps on the retain set", fontsize=TEXT)
    axis.set_ylabel("retain less forget train, points", fontsize=TEXT)
    legend_below(figure, handles)
    if titled:
        headed(figure, "Relearning", *titles(records))
    return figure
