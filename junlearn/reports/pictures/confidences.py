"""How sure networks are of the labels of what was forgotten, kept and never seen: all that many attacks look at."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import mannwhitneyu

from junlearn.experiment.asking import Answers, Asked
from junlearn.reports.pictures.panels import below, grid
from junlearn.reports.style import (
    DASHES,
    INK,
    OKABE_ITO,
    PAGE,
    SMALL,
    TEXT,
    headed,
    legend_below,
    plain,
)

__all__ = ["area", "confidences"]

KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "retain": ("kept, training", {"color": OKABE_ITO[0], "ls": DASHES[0], "lw": 1.0}),
    "unseen": ("unseen, test", {"color": OKABE_ITO[2], "ls": DASHES[1], "lw": 1.0}),
    "unseen_forgotten": (
        "unseen, test, of the forgotten classes",
        {"color": OKABE_ITO[3], "ls": DASHES[2], "lw": 1.3},
    ),
    "forget": ("to be forgotten, training", {"color": OKABE_ITO[1], "ls": "-", "lw": 1.8}),
}
PROBABILITIES = (1e-4, 0.01, 0.5, 0.99, 1 - 1e-4)
EDGES = np.linspace(-12, 12, 37)
"""Of the bars, as log odds; the first and the last hold all that is beyond."""


def confidences(
    found: Answers, networks: Sequence[Asked], *, width: float = PAGE, title: str = ""
) -> Figure | None:
    """A panel a network: how many examples of each kind get which probability for their label.

    The probability is on the scale of its log odds, on which 0.99 and 0.9999 are told apart. The number is how well the
    confidence tells what is to be forgotten from what was never seen (`area`), where classes are removed of the same
    classes. None where no confidences were taken.
    """
    networks = [network for network in networks if network.margins]
    if not networks:
        return None
    figure, axes = grid(networks, 1.75 if len(networks) > 1 else 2.2, width)
    present = [kind for kind in KINDS if any(kind in n.margins for n in networks)]
    for axis, network in zip(axes, networks, strict=True):
        plain(axis)
        for kind in present:
            if kind in network.margins:
                _, style = KINDS[kind]
                values = np.clip(network.margins[kind], EDGES[0], EDGES[-1])
                counts, _ = np.histogram(values, EDGES)
                axis.stairs(100 * counts / len(values), EDGES, **style)
        axis.axvline(0, color=INK, lw=0.4, zorder=0)
        axis.set_xlim(EDGES[0], EDGES[-1])
        axis.set_ylim(bottom=0)
        axis.locator_params(axis="y", nbins=4)
        if (told := area(network)) is not None:
            above = f"{axis.get_title()}\n".lstrip()
            axis.set_title(f"{above}told apart: {told:.2f}", fontsize=TEXT)
        places = [float(np.log(p / (1 - p))) for p in PROBABILITIES]
        axis.set_xticks(places, [f"{p:g}" for p in PROBABILITIES], fontsize=SMALL)
        axis.tick_params(axis="y", labelsize=SMALL)
    below(axes, "probability of the label")
    figure.supylabel("% of the examples", fontsize=TEXT)
    handles = [Line2D([], [], label=KINDS[kind][0], **KINDS[kind][1]) for kind in present]
    legend_below(figure, handles)
    if title:
        of = " of these classes" if "unseen_forgotten" in present else ""
        note = f"told apart: how often a forgotten example gets more than an unseen one{of}; 0.5: chance"
        headed(figure, "Confidence in the label", title, note=note)
    return figure


def area(network: Asked) -> float | None:
    """How often an example to be forgotten gets more confidence than an unseen one, ties being halves; 0.5 is chance.

    Where classes are removed the unseen examples are those of these classes. None without unseen examples.
    """
    margins = network.margins
    unseen = margins.get("unseen_forgotten", margins.get("unseen"))
    if unseen is None or "forget" not in margins:
        return None
    forget = margins["forget"]
    return float(mannwhitneyu(forget, unseen).statistic / (len(forget) * len(unseen)))
