"""Histograms of what an audit finds example by example, each over that of a perfect unlearner."""

from matplotlib.figure import Figure

from junlearn.reports.audit_cells import Row
from junlearn.reports.audit_style import Example
from junlearn.reports.style import BAND, MIDDLE, OKABE_ITO, plain

__all__ = ["histograms"]

MEASURES = {
    "epsilon": "epsilon of an example, as F takes it\n(the largest found: not a bound)",
    "accuracy": "held-out accuracy of an example\n(guessing: 0.5)",
    "klom": "KLoM of an example",
}
"""What has a histogram, and what stands under it."""


def histograms(row: Row, example: Example) -> Figure | None:
    """For each of epsilon, accuracy and KLoM that is there: how many examples have which value, as an outline.

    Grey bars are the mean over splits of the retrained networks, the lines on them hold 95 % of the splits.
    """
    shown = [name for name in MEASURES if {f"hist_{name}", f"hist_{name}_edges"} <= example.keys()]
    if not shown:
        return None
    figure = Figure(figsize=(3.3 * len(shown) + 0.2, 3.1), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    color = MIDDLE if row["role"] == "twin" else OKABE_ITO[1]
    handles = {}
    for axis, name in zip(axes, shown, strict=True):
        edges, counts = example[f"hist_{name}_edges"], example[f"hist_{name}"]
        null = example.get(f"hist_{name}_null")
        if null is not None:
            low, mean, high = null
            handles["perfect unlearner, mean"] = axis.stairs(mean, edges, fill=True, color=BAND)
            middles = (edges[:-1] + edges[1:]) / 2
            handles["95 % of splits"] = axis.vlines(middles, low, high, color=MIDDLE, lw=0.9)
        handles["this row"] = axis.stairs(counts, edges, color=color, lw=1.6)
        axis.set_xlabel(MEASURES[name], fontsize="small")
        axis.set_xlim(edges[0], edges[-1])
        axis.set_ylim(bottom=0)
        plain(axis)
    axes[0].set_ylabel("examples")
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside upper center",
        ncols=3,
        fontsize="small",
        frameon=False,
    )
    return figure
