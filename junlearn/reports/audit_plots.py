"""Audits as pictures: which there are, what each shows, and writing them as files."""

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from junlearn.reports.audit_cells import Row, label, ordered
from junlearn.reports.audit_curves import quantiles, roc
from junlearn.reports.audit_exposed import exposed
from junlearn.reports.audit_histograms import histograms
from junlearn.reports.audit_landscape import costs, planned
from junlearn.reports.audit_style import Examples, example_of
from junlearn.reports.plots import save

__all__ = ["Picture", "pictures", "write_plots"]


class Picture(NamedTuple):
    """A picture of an audit."""

    name: str
    """Of its file, without the ending."""
    title: str
    text: str
    """What it shows, in plain words."""
    figure: Figure


def pictures(rows: Sequence[Row], examples: Examples) -> Iterator[Picture]:
    """The pictures of one audit: those of all rows together, then those of every row. What has no data is left out."""
    shown = ordered(rows)
    for name, title, text, figure in (
        (
            "costs",
            "Cost against what is left",
            "Each mark is a method: to the left it is cheaper, lower its networks are closer to retrained ones. "
            "Inside the grey band no test can tell them from retrained networks by their distance.",
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
    taken: set[str] = set()
    for row in shown:
        example = example_of(row, examples)
        name = _file_name(label(row), taken)
        for kind, title, text, figure in (
            (
                "histograms",
                "every example",
                "Outline: the examples to be forgotten. Grey: a perfect unlearner with as many networks.",
                histograms(row, example),
            ),
            (
                "exposed",
                "the most exposed examples",
                "A dot is a network. Unlearned dots should lie where the retrained ones and their twins lie, not "
                "where the original ones do.",
                exposed(example),
            ),
        ):
            if figure is not None:
                yield Picture(f"{kind}_{name}", f"{label(row)}: {title}", text, figure)


def write_plots(rows: Sequence[Row], examples: Examples, folder: Path) -> list[Path]:
    """All pictures of one audit as PNG files in `folder`, which is made; returns their paths.

    `examples` holds the arrays of each row under its `examples_file`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture in pictures(rows, examples):
        paths.append(folder / f"{picture.name}.png")
        with warnings.catch_warnings():
            # A letter that the font lacks is drawn as a box.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            save(picture.figure, paths[-1])
    return paths


def _file_name(text: str, taken: set[str]) -> str:
    """A label as a part of a file's name, unlike those that are `taken`, to which it is added."""
    plain = re.sub(r"[^\w.-]", "_", text, flags=re.ASCII)[:80]
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    taken.add(name)
    return name
