"""The most exposed examples of an audit: the margin that every network gives them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from junlearn.reports.audit_style import Example
from junlearn.reports.style import INK, MIDDLE, plain

__all__ = ["exposed"]

ENSEMBLES = {
    "original": (INK, "original"),
    "unlearned": ("#D55E00", "unlearned"),
    "retrain": ("#0072B2", "retrained"),
    "twin": (MIDDLE, "twin"),
}
"""Names of the arrays after `phi_`, with colour and word."""
COLUMNS = 3
GOLDEN = 0.6180339887


def exposed(example: Example) -> Figure | None:
    """For each of the most exposed examples its image and a dot a network: how sure it is of the label.

    None where no example is exposed, or no margins are kept.
    """
    present = [name for name in ENSEMBLES if f"phi_{name}" in example]
    places = example.get("exposed", np.zeros(0, int))
    if not len(places) or not present:
        return None
    rows = -(-len(places) // COLUMNS)
    columns = min(COLUMNS, len(places))
    figure = Figure(figsize=(3.5 * columns + 0.3, 1.75 * rows + 0.5), layout="constrained")
    axes = figure.subplots(
        rows, 2 * columns, squeeze=False, width_ratios=[1, 2.6] * columns
    ).reshape(rows * columns, 2)
    for number, (picture, dots) in enumerate(axes):
        picture.set_axis_off()
        if number >= len(places):
            dots.set_axis_off()
            continue
        _picture(picture, example, number)
        for height, name in enumerate(reversed(present)):
            color, _ = ENSEMBLES[name]
            margins = example[f"phi_{name}"][:, number]
            heights = height + 0.5 * (np.arange(len(margins)) * GOLDEN % 1 - 0.5)
            dots.scatter(margins, heights, s=7, color=color, alpha=0.7, lw=0, rasterized=True)
        dots.set_yticks(range(len(present)), [ENSEMBLES[n][1] for n in reversed(present)])
        dots.set_ylim(-0.6, len(present) - 0.4)
        dots.set_title(_name(example, int(places[number])), fontsize="small")
        plain(dots)
        dots.grid(visible=False, axis="y")
    figure.supxlabel("margin phi of the label: to the right, surer of it", fontsize="small")
    return figure


def _picture(axis: Axes, example: Example, number: int) -> None:
    images: NDArray[np.uint8] | None = example.get("images")
    if images is None or number >= len(images):
        return
    image = images[number]
    grey = image.shape[-1] == 1
    axis.imshow(
        image[..., 0] if grey else image, cmap="gray" if grey else None, interpolation="nearest"
    )


def _name(example: Example, place: int) -> str:
    ids, labels = example.get("id"), example.get("label")
    name = f"example {place if ids is None else ids[place]}"
    return name if labels is None else f"{name}, label {labels[place]}"
