"""Accuracy on the test examples of every class, by every network."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from junlearn.experiment.asking import Answers, Asked
from junlearn.reports.pictures.panels import forgotten_classes, short
from junlearn.reports.style import (
    INK,
    OKABE_ITO,
    PAGE,
    SMALL,
    TEXT,
    Canvas,
    caption,
    headed,
    wrapped,
)

__all__ = ["accuracies", "class_accuracy"]

FEW = 20
"""Classes that all have their names."""
NUMBERED = 14
"""Classes whose cells hold numbers."""
ROW, WIDEST = 0.19, 34
FLAT = 6
"""Letters of names that lie side by side."""
LONGEST = 24
"""Letters of a class's name."""


def accuracies(labels: np.ndarray, said: np.ndarray, present: np.ndarray) -> list[float]:
    """In percent, of each class that is `present`."""
    return [100 * float(np.mean(said[labels == label] == label)) for label in present]


def class_accuracy(
    found: Answers, networks: Sequence[Asked] | None = None, *, title: str = ""
) -> Figure | None:
    """A line a network and a column a class, in percent; names of forgotten classes are marked.

    Of more than FEW classes the forgotten ones, and those on which the networks differ most, stand first with their
    names, the others beside them in the same order without. None without test examples.
    """
    asked = [n for n in networks or found.networks if n.test is not None]
    present = np.unique(found.test_labels)
    if not asked or not len(present):
        return None
    first = {"original": 0, "retrain": 1}
    asked.sort(key=lambda network: first.get(network.role, 2))
    table = np.array([accuracies(found.test_labels, np.asarray(n.test), present) for n in asked])
    order = np.arange(len(present))
    marked = forgotten_classes(found.forget_labels.tolist(), len(found.classes))
    if len(present) > FEW:
        spread = table.max(0) - table.min(0)
        order = np.lexsort((-spread, ~np.isin(present, list(marked))))
    shown, others = order[:FEW], order[FEW:]
    names = [found.classes[present[place]] for place in shown]
    tall = 0.055 * min(LONGEST, max(map(len, names))) + (0.6 if marked else 0)
    labels = [wrapped(network.label, WIDEST) for network in asked]
    row = ROW * (0.3 + 0.7 * max(1 + label.count("\n") for label in labels))
    figure = Canvas(PAGE, row * len(asked) + tall + 0.75)
    ratios = [1.0] if not len(others) else [1.4, 1.0]
    axes = figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
    image = _strip(axes[0], table[:, shown])
    forgotten = [int(present[place]) in marked for place in shown]
    flat = max(map(len, names)) <= FLAT and len(shown) <= NUMBERED
    turned, note = ("horizontal", "\nforgotten") if flat else ("vertical", " (forgotten)")
    said = [
        caption(short(name, LONGEST)) + (note if gone else "")
        for name, gone in zip(names, forgotten, strict=True)
    ]
    axes[0].set_xticks(range(len(shown)), said, rotation=turned, fontsize=SMALL)
    for text, gone in zip(axes[0].get_xticklabels(), forgotten, strict=True):
        if gone:
            text.set_color(OKABE_ITO[1])
            text.set_fontweight("bold")
    axes[0].set_yticks(range(len(asked)), labels, fontsize=TEXT)
    if len(present) <= NUMBERED:
        for (row, column), value in np.ndenumerate(table):
            color = "white" if value > 55 else INK
            axes[0].text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=SMALL, color=color
            )
    if len(others):
        _strip(axes[1], table[:, others])
        axes[1].set_xticks([])
        axes[1].set_yticks([])
        hidden = sum(int(present[place]) in marked for place in others)
        note = f", {hidden} of them forgotten" if hidden else ""
        lead = (
            "forgotten, then those on which networks differ most"
            if marked
            else "networks differ most on these"
        )
        axes[0].set_title(f"{FEW} classes: {lead}", fontsize=TEXT)
        axes[1].set_title(f"the other {len(others)}{note}", fontsize=TEXT)
    bar = figure.colorbar(image, ax=axes, aspect=25, pad=0.01, shrink=0.9)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("% right", fontsize=TEXT)
    if title:
        headed(figure, "Accuracy on the test examples of every class", title)
    return figure


def _strip(axis: Axes, table: np.ndarray) -> AxesImage:
    axis.tick_params(length=2)
    return axis.imshow(
        table, cmap="Blues", vmin=0, vmax=100, aspect="auto", interpolation="nearest"
    )
