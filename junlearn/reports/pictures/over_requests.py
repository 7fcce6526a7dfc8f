"""Every network over all requests of a stream."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from junlearn.experiment.records import Record, number_of
from junlearn.reports import requests
from junlearn.reports.pictures.method_runs import looks
from junlearn.reports.style import PAGE, TEXT, Canvas, headed, legend_below, plain, wrapped

__all__ = ["over_requests"]

SHOWN = {
    requests.FORGOTTEN: "forgotten so far, % right",
    requests.RETAINED: "retained, % right",
    "accuracy/retain_test": "test, retained, % right",
    "js/forget_train": "JS divergence to retraining",
    "distance/retrain/total": "distance of weights to retraining",
}
"""What is drawn over the requests of a stream, with the titles of the panels."""
COLUMNS = 3


def over_requests(records: Sequence[Record]) -> Figure | None:
    """Panels over the requests of a stream, a line a network: accuracy on all that is forgotten so far and on what is
    retained, and distances to the retrained network; None where there are no several requests, or none of these.
    """
    present = {name for record in records for name in record["metrics"]}
    panels = {metric: title for metric, title in SHOWN.items() if metric in present}
    if not any(map(number_of, records)) or not panels:
        return None
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Canvas(PAGE, 2.1 * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    roles = {record["method"]: record["role"] for record in records}
    names = requests.networks(records)
    seen = dict(zip(names, looks([(roles[name], name) for name in names]), strict=True))
    for axis, (metric, title) in zip(axes, panels.items(), strict=False):
        plain(axis)
        factor = 100 if metric.startswith("accuracy/") else 1
        for label in names:
            points = requests.series(records, label, metric)
            axis.plot(
                list(points),
                [factor * value for value in points.values()],
                label=wrapped(label),
                **seen[label].line,
            )
        axis.set_title(title, fontsize=TEXT)
        axis.xaxis.get_major_locator().set_params(integer=True)
    for axis in axes[max(0, len(panels) - columns) : len(panels)]:
        axis.set_xlabel("request", fontsize=TEXT)
    legend_below(figure, axes[0].lines)
    first = records[0]
    headed(
        figure,
        "Request by request",
        *(first["dataset"], first["model"], f"scenario {first['scenario']}"),
        f"seed {first['seed']}",
    )
    return figure
