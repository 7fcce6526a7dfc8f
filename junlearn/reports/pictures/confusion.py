"""What each network takes the test examples of every class for."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from junlearn.experiment.asking import Answers, Asked
from junlearn.reports.pictures.panels import below, forgotten_classes, grid, short
from junlearn.reports.style import INK, OKABE_ITO, PAGE, SMALL, TEXT, caption, headed

__all__ = ["confusion", "matrix"]

FEW = 20
"""Classes whose names fit beside a matrix."""
NUMBERED = 12
"""Classes of a matrix whose cells hold numbers."""
LONGEST = 10
"""Letters of a class's name."""
MARKED = OKABE_ITO[1]


def matrix(labels: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """float[K,K]: true against predicted classes, each row in percent of itself."""
    found = np.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)
    shares: np.ndarray = 100 * found / np.maximum(found.sum(1, keepdims=True), 1)
    return shares


def confusion(
    found: Answers, networks: Sequence[Asked], *, width: float = PAGE, title: str = ""
) -> Figure | None:
    """A matrix a network, each row in percent of itself; classes that are forgotten are marked at their row.

    Of more than FEW classes the colours are those of square roots, so that a few percent can be seen. None without test
    examples.
    """
    networks = [network for network in networks if network.test is not None]
    if not networks or not len(found.test_labels):
        return None
    count = len(found.classes)
    marked = forgotten_classes(found.forget_labels.tolist(), count)
    figure, axes = grid(networks, 2.35 if len(networks) > 1 else width, width)
    across = axes[0].get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    last = (len(networks) - 1) // across
    for number, (axis, network) in enumerate(zip(axes, networks, strict=True)):
        assert network.test is not None
        share = matrix(found.test_labels, network.test, count)
        norm = PowerNorm(0.5 if count > FEW else 1, 0, 100)
        image = axis.imshow(share, cmap="Blues", norm=norm, interpolation="nearest")
        axis.tick_params(labelsize=SMALL, length=2)
        _numbers(axis, share, width if len(networks) == 1 else width / across)
        _names(axis, found.classes, marked, number % across == 0, number // across == last)
    if len(networks) > 1:
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, pad=0.01)
        bar.ax.tick_params(labelsize=SMALL)
        bar.set_label("% of the true class", fontsize=TEXT)
    below(axes[last * across :], "predicted class, in the same order")
    note = "true class" + (" (arrow: forgotten)" if marked else "")
    figure.supylabel(note, fontsize=TEXT)
    if title:
        headed(figure, "Confusion of test examples", title)
    return figure


def _numbers(axis: Axes, share: np.ndarray, width: float) -> None:
    if len(share) > NUMBERED or len(share) > 6 * width:
        return
    for row, column in np.argwhere(share >= 0.5):
        color = "white" if share[row, column] > 55 else INK
        said = f"{share[row, column]:.0f}"
        axis.text(column, row, said, ha="center", va="center", fontsize=SMALL, color=color)


def _names(axis: Axes, classes: Sequence[str], marked: set[int], left: bool, below: bool) -> None:
    count = len(classes)
    if count <= FEW:
        names = [caption(short(name, LONGEST)) for name in classes]
        turned = "vertical" if max(map(len, names)) > 2 else "horizontal"
        axis.set_xticks(range(count), names if below else [""] * count, rotation=turned)
        axis.set_yticks(range(count), names if left else [""] * count)
    else:
        axis.tick_params(labelbottom=below, labelleft=left)
    axis.tick_params(axis="y", length=0, pad=7)
    for row in sorted(marked):
        # Between the names and the frame.
        axis.plot(
            [-0.025], [row], marker=">", ms=4, color=MARKED, transform=axis.get_yaxis_transform(),
            clip_on=False,
        )  # fmt: skip
