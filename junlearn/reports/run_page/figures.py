"""The pictures of a report: those of `junlearn.reports.pictures`, one network at a time.

Each is narrow, so that it can be read on a telephone; the page puts them side by side where there is room.
"""

from collections.abc import Iterator, Sequence

from junlearn.experiment.asking import Answers
from junlearn.experiment.records import Record
from junlearn.reports.page.drawings import Picture
from junlearn.reports.pictures.confidences import confidences
from junlearn.reports.pictures.confusion import confusion
from junlearn.reports.pictures.curves import curves, panels
from junlearn.reports.pictures.embedding import embedding, plane
from junlearn.reports.pictures.gaps import gaps
from junlearn.reports.pictures.one_plane import Project
from junlearn.reports.pictures.relearn_curves import relearning
from junlearn.reports.pictures.time_quality import time_quality
from junlearn.reports.pictures.trade_off import trade_off
from junlearn.reports.style import COLUMN

__all__ = ["pictures"]

WIDE = 4.4
"""Inches of a picture that stands alone."""


def pictures(
    records: Sequence[Record], found: Answers | None, project: Project
) -> Iterator[Picture]:
    """All pictures of an experiment, the most telling first; what has no data is left out."""
    for name, title, text, figure in (
        (
            "gaps",
            "Distance from the retrained network",
            "A dot is a network, the line the retrained one: the nearer the better, or farther where an arrow says so.",
            gaps(records, width=WIDE, titled=False),
        ),
        (
            "trade_off",
            "What is kept against what is forgotten",
            "The star is the retrained network: the nearer to it, the better.",
            trade_off(records, width=WIDE, titled=False),
        ),
        (
            "time_quality",
            "Time against quality",
            "To the left a network is cheaper, and lower it is nearer to the retrained one.",
            time_quality(records, width=WIDE, titled=False),
        ),
    ):
        if figure is not None:
            yield Picture(name, title, text, figure)
    if found is not None:
        yield from _asked(found, project)
    for number, panel in enumerate(panels(records)):
        figure = curves([panel], width=COLUMN)
        if figure is not None:
            text = "Mean of each epoch over the examples that its steps saw."
            yield Picture(f"curves_{number}", panel.label, text, figure)
    if (figure := relearning(records, width=WIDE, titled=False)) is not None:
        text = "How the forget set stays behind the retain set while the latter is trained."
        yield Picture("relearning", "Relearning", text, figure)


def _asked(found: Answers, project: Project) -> Iterator[Picture]:
    placed = plane(found, project)
    for kind, text, draw in (
        (
            "confusion",
            "Test examples: true class (rows) against predicted class (columns), in % of a row.",
            lambda network: confusion(found, [network], width=COLUMN),
        ),
        (
            "confidence",
            "How many examples get which probability for their label.",
            lambda network: confidences(found, [network], width=COLUMN),
        ),
        (
            "embedding",
            "A point is a training example; a cross, one to be forgotten.",
            lambda network: (
                None if placed is None else embedding(found, placed, [network], width=COLUMN)
            ),
        ),
    ):
        for number, network in enumerate(found.networks):
            if (figure := draw(network)) is not None:
                yield Picture(f"{kind}_{number}", network.label, text, figure)
