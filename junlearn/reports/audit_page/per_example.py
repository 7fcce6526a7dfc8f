"""The most exposed examples of a row, as a table."""

from typing import NamedTuple

import numpy as np

from junlearn.reports.audit_style import Example

__all__ = ["MOST", "Listing", "class_name", "listing"]

MOST = 50
"""Lines of a table."""
MEASURES = {
    "epsilon": "epsilon (F)",
    "klom": "KLoM",
    "accuracy": "accuracy (held out)",
    "shift": "shift, sd",
    "ks_p": "KS p",
}
"""Arrays with their headings; the table begins with the largest of the first that is there, save for p values."""


class Listing(NamedTuple):
    """A table of examples."""

    headings: list[str]
    lines: list[list[tuple[str, str]]]
    """Cells as they are read, each with the number that it is sorted by ("" for none)."""
    of: int
    """Examples that there are."""
    first: str
    """The heading by which these are the first."""


def class_name(example: Example, number: int) -> str:
    """The name of a class if `class_names` is among the arrays, else its number."""
    names = example.get("class_names", ())
    return str(names[number]) if 0 <= number < len(names) else str(number)


def listing(example: Example) -> Listing | None:
    """The first MOST examples; None where no measure is kept for each example.

    They are those with the largest epsilon, or KLoM, accuracy, or absolute shift, or with the smallest p value:
    the first of these that is there. Values that are not numbers come last.
    """
    shown = [name for name in MEASURES if name in example]
    if not shown:
        return None
    values = np.asarray(example[shown[0]], float)
    keys = values if shown[0] == "ks_p" else -np.abs(values)
    order = np.argsort(np.where(np.isnan(keys), np.inf, keys), kind="stable")[:MOST]
    ids = example.get("id", np.arange(len(values)))
    lines = []
    for place in order:
        line = [(str(ids[place]), str(ids[place]))]
        if "label" in example:
            number = int(example["label"][place])
            line.append((class_name(example, number), str(number)))
        lines.append(line + [_cell(float(example[name][place])) for name in shown])
    labels = ["label"] if "label" in example else []
    headings = ["example", *labels, *(MEASURES[name] for name in shown)]
    return Listing(headings, lines, len(values), MEASURES[shown[0]])


def _cell(value: float) -> tuple[str, str]:
    return (
        ("-", "") if np.isnan(value) else (f"{value:.3f}", repr(value).replace("inf", "Infinity"))
    )
