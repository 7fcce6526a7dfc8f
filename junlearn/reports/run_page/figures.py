"""The pictures of a report: distances to the retrained network, confusion, embeddings and losses.

Each is narrow, so that it can be read on a telephone; the page puts them side by side where there is room.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from junlearn.experiment.records import Record
from junlearn.experiment.revisit import Asked, Revisited
from junlearn.metrics.directions import value_of
from junlearn.reports import plots
from junlearn.reports.columns import first_columns
from junlearn.reports.page.drawings import Picture
from junlearn.reports.style import BAND, INK, MIDDLE, OKABE_ITO, caption, plain

__all__ = ["Project", "pictures", "principal", "stochastic"]

Project = Callable[[np.ndarray], np.ndarray]
"""float[M,D] -> float[M,2]."""

WIDE = 4.4
"""Inches of a picture that stands alone."""
SMALL = 3.3
"""Inches of one among several."""
COLORS = [matplotlib.color_sequences["tab10"][i] for i in range(10)]
MARKERS = ("o", "s", "^", "D", "v", "P")
FEW = 20
"""Classes whose names fit beside a matrix."""
SEEDED = 0


def pictures(
    records: Sequence[Record], found: Revisited | None, project: Project
) -> Iterator[Picture]:
    """All pictures of an experiment, the most telling first; what has no data is left out."""
    if (figure := gaps(records)) is not None:
        text = "Points of accuracy above (right) or below (left) it: the nearer to the line, the better."
        yield Picture("gaps", "Distance to the retrained network", text, figure)
    if found is not None:
        yield from _asked(found, project)
    for number, record in enumerate(records):
        if (figure := plots.curves(record, columns=1, titled=False)) is not None:
            yield Picture(f"curves_{number}", record["method"], "Mean loss of each epoch.", figure)
    if (figure := plots.relearning(records)) is not None:
        text = "How the forget set stays behind the retain set while the latter is trained."
        yield Picture("relearning", "Relearning", text, figure)


def _asked(found: Revisited, project: Project) -> Iterator[Picture]:
    for number, network in enumerate(found.networks):
        if network.test is not None and len(found.test_labels):
            figure = confusion(found.test_labels, network.test, found.classes)
            text = (
                "Test examples: true class (rows) against predicted class (columns), in % of a row."
            )
            yield Picture(f"confusion_{number}", network.label, text, figure)
    for number, network in enumerate(found.networks):
        if network.embedding is not None:
            figure = embedding(found, network, project)
            text = "A point is a training example; a cross, one to be forgotten."
            yield Picture(f"embedding_{number}", network.label, text, figure)


def gaps(records: Sequence[Record]) -> Figure | None:
    """A line for each network and on it a mark for each accuracy, less that of the retrained network, in points.

    None where there is no retrained network, or nothing to compare with it.
    """
    reference = next((r["metrics"] for r in records if r["role"] == "retrain"), {})
    shown = [c for c in first_columns(reference) if value_of(c.metric) is not None]
    others = [record for record in records if record["role"] != "retrain"]
    if not shown or not others:
        return None
    figure = Figure(figsize=(WIDE, 1.2 + 0.34 * len(others)), layout="constrained")
    axis = figure.subplots()
    plain(axis)
    axis.axvline(0, color=INK, lw=1)
    for number, column in enumerate(shown):
        points = [
            (100 * (record["metrics"][column.metric] - reference[column.metric]), place)
            for place, record in enumerate(others)
            if column.metric in record["metrics"]
        ]
        marks: Any = {"marker": MARKERS[number % len(MARKERS)], "color": OKABE_ITO[number % 6]}
        axis.plot(
            *zip(*points, strict=True), ls="", ms=6, alpha=0.85, label=column.heading, **marks
        )
    axis.set_yticks(range(len(others)), [_short(record["method"], 20) for record in others])
    axis.set_ylim(len(others) - 0.5, -0.5)
    axis.set_xlabel("points of accuracy")
    figure.legend(loc="outside upper center", ncols=3, fontsize="small", frameon=False)
    return figure


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Figure:
    """The matrix of true against predicted classes, each row in percent of itself."""
    count = len(classes)
    matrix = np.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)
    share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(SMALL, SMALL), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    if count <= FEW:
        names = [_short(name, 10) for name in classes]
        axis.set_xticks(range(count), names, fontsize="small", rotation=_turned(classes))
        axis.set_yticks(range(count), names, fontsize="small")
    for row, column in np.argwhere(share >= 0.5) if count <= 12 else ():
        color = "white" if share[row, column] > 55 else INK
        said = f"{share[row, column]:.0f}"
        axis.text(column, row, said, ha="center", va="center", fontsize=6.5, color=color)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    return figure


def _turned(classes: Sequence[str]) -> str:
    return "vertical" if max(map(len, classes), default=0) > 2 else "horizontal"


def _short(name: str, most: int) -> str:
    """A name beside an axis, cut where it would leave no room for the picture."""
    return caption(name if len(name) <= most else f"{name[: most - 1]}…")


def embedding(found: Revisited, network: Asked, project: Project) -> Figure:
    """What the head of a network reads, in two dimensions: a colour a class, and crosses on what is to be forgotten."""
    assert network.embedding is not None
    points = project(network.embedding)
    figure = Figure(figsize=(SMALL, SMALL), layout="constrained")
    axis = figure.subplots()
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color(BAND)
    x, y = points.T
    marked = found.sample_forgotten
    # One picture inside the picture: a thousand marks as shapes would be large.
    colors = [COLORS[label % len(COLORS)] for label in found.sample_labels]
    axis.scatter(x, y, s=9, lw=0, alpha=0.6, c=colors, rasterized=True)
    axis.scatter(x[marked], y[marked], s=14, marker="x", lw=0.7, color=INK, rasterized=True)
    axis.set_xlabel("first axis", color=MIDDLE, fontsize="small")
    axis.set_ylabel("second axis", color=MIDDLE, fontsize="small")
    return figure


def principal(points: np.ndarray) -> np.ndarray:
    """The first two principal components, float[M,2]."""
    centred = points.astype(np.float64) - points.mean(0, dtype=np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = (left * sizes)[:, :2]
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def stochastic(points: np.ndarray) -> np.ndarray:
    """t-SNE of scikit-learn, float[M,2]; of fewer than 5 points the principal components."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(points) < 5:
        return principal(points)
    near = min(30.0, (len(points) - 1) / 3)
    # Its threads wait busily for each other: on a machine with other work they take many times longer than one.
    with threadpool_limits(1):
        found: np.ndarray = TSNE(perplexity=near, random_state=SEEDED).fit_transform(points)
    return found
