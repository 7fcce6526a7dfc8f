"""Audits as pictures: which there are, what each shows, and writing them as files."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from junlearn.reports.audit_cells import Row, label, methods_first, ordered
from junlearn.reports.audit_curves import quantiles, roc
from junlearn.reports.audit_exposed import exposed
from junlearn.reports.audit_histograms import histograms
from junlearn.reports.audit_landscape import costs, planned
from junlearn.reports.audit_style import Examples, example_of
from junlearn.reports.page.drawings import Picture
from junlearn.reports.style import save

__all__ = ["names", "pictures", "write_plots"]


def pictures(rows: Sequence[Row], examples: Examples) -> Iterator[Picture]:
    """The pictures of one audit: those of all rows together, then those of each row. What has no data is left out."""
    shown = ordered(rows)
    for name, title, text, figure in (
        (
            "costs",
            "Cost against what is left",
            "Each mark is a method: to the left it is cheaper, lower its networks are closer to retrained ones. "
            "The grey band holds 95 % of perfect unlearners, since retrained networks differ from each other too.",
            costs(shown),
        ),
        (
            "roc",
            "Telling unlearned from retrained, one example at a time",
            "ROC curves of the held-out attack with logarithmic axes. Curves inside the grey band are what networks "
            "that are shuffled between the two sides give; above it the attack finds something.",
            roc(shown, examples),
        ),
        (
            "klom_quantiles",
            "KLoM over the examples",
            "How large KLoM is for how many examples. A perfect unlearner is not at zero: with few networks it lies "
            "in the grey band.",
            quantiles(shown, examples),
        ),
        (
            "planning",
            "What so many networks can show",
            "What a perfect unlearner scores at each number of networks in simulations, and the null that was "
            "measured here. The simulations serve planning; no verdict comes from them.",
            planned(shown),
        ),
    ):
        if figure is not None:
            yield Picture(name, title, text, figure)
    judged = methods_first(shown)
    for row, name in zip(judged, names(judged), strict=True):
        figure = histograms(row, example_of(row, examples))
        text = "Outline: the examples to be forgotten. Grey: a perfect unlearner with as many networks."
        if figure is not None:
            yield Picture(f"histograms_{name}", f"{label(row)}: every example", text, figure)
    for row, name in zip(judged, names(judged), strict=True):
        figure = exposed(example_of(row, examples))
        text = (
            "A dot is a network. Unlearned dots should lie where the retrained ones and their twins lie, not where the "
            "original ones do."
        )
        if figure is not None:
            said = f"{label(row)}: the most exposed examples"
            yield Picture(f"exposed_{name}", said, text, figure)


def write_plots(
    rows: Sequence[Row], examples: Examples, folder: Path, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """All pictures of one audit as files in `folder`, which is made; returns their paths.

    `examples` holds the arrays of each row under its label.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture in pictures(rows, examples):
        for kind in formats:
            paths.append(folder / f"{picture.name}.{kind}")
            save(picture.figure, paths[-1])
    return paths


def names(rows: Sequence[Row]) -> list[str]:
    """The part of a picture's name that says the row: its label with plain characters, no two alike."""
    found: list[str] = []
    for row in rows:
        plain = re.sub(r"[^\w.-]", "_", label(row), flags=re.ASCII)[:80]
        name, number = plain, 2
        while name in found:
            name, number = f"{plain}_{number}", number + 1
        found.append(name)
    return found
