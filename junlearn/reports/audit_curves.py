"""Curves of audits: ROC curves of all methods, and KLoM of one share of the examples after the other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from numpy.typing import NDArray

from junlearn.reports.audit_cells import Row
from junlearn.reports.audit_style import Example, Examples, example_of, styles, wrapped
from junlearn.reports.style import BAND, MIDDLE, PAGE, legend, plain

__all__ = ["quantiles", "roc"]

LEAST_RATE = 1e-3


def roc(rows: Sequence[Row], examples: Examples) -> Figure | None:
    """ROC curves with logarithmic axes, the diagonal, and the band of permuted networks; None without a curve.

    Where the bands of several rows differ, the widest is drawn.
    """
    found = [
        (row, style, example_of(row, examples))
        for row, style in zip(rows, styles(rows), strict=True)
    ]
    found = [item for item in found if {"roc_fpr", "roc_tpr"} <= item[2].keys()]
    if not found:
        return None
    rates = np.unique(np.concatenate([item[2]["roc_fpr"] for item in found]))
    least = max(LEAST_RATE, float(min(rates[rates > 0], default=LEAST_RATE)))
    figure = Figure(figsize=(PAGE, 4.6), layout="constrained")
    axis = figure.subplots()
    handles: list[Artist] = []
    banded = [example for _, _, example in found if {"roc_low", "roc_high"} <= example.keys()]
    if banded:
        low = np.min([_held(example, "roc_low", rates) for example in banded], axis=0)
        high = np.max([_held(example, "roc_high", rates) for example in banded], axis=0)
        visible = rates >= least
        handles.append(
            axis.fill_between(
                rates[visible], low[visible], high[visible], color=BAND, lw=0, step="post",
                label="networks permuted, 95 %",
            )
        )  # fmt: skip
    handles += axis.plot([least, 1], [least, 1], color=MIDDLE, lw=0.8, label="guessing")
    for row, style, example in found:
        handles += axis.plot(
            example["roc_fpr"], example["roc_tpr"], color=style.color, ls=style.dashes, lw=1.4,
            drawstyle="steps-post", label=wrapped(row),
        )  # fmt: skip
    axis.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.05))
    axis.set_xlabel("false positive rate")
    axis.set_ylabel("true positive rate")
    plain(axis)
    legend(figure, handles)
    return figure


def quantiles(rows: Sequence[Row], examples: Examples) -> Figure | None:
    """KLoM at each percent of the examples, with the band of the null; None without a curve.

    The band is the twin's, or the first row's that has one.
    """
    found = [
        (row, style, example_of(row, examples))
        for row, style in zip(rows, styles(rows), strict=True)
    ]
    found = [item for item in found if "klom_quantiles" in item[2]]
    if not found:
        return None
    figure = Figure(figsize=(PAGE, 4.2), layout="constrained")
    axis = figure.subplots()
    handles: list[Artist] = []
    ordered = sorted(found, key=lambda item: item[0]["role"] != "twin")
    null = next(
        (e["klom_quantiles_null"] for _, _, e in ordered if "klom_quantiles_null" in e), None
    )
    if null is not None:
        share = _percents(null[0])
        handles.append(
            axis.fill_between(
                share, null[0], null[2], color=BAND, lw=0, label="perfect unlearner, 95 %"
            )
        )
        handles += axis.plot(share, null[1], color=MIDDLE, lw=0.8, label="perfect unlearner")
    for row, style, example in found:
        values = example["klom_quantiles"]
        handles += axis.plot(
            _percents(values),
            values,
            color=style.color,
            ls=style.dashes,
            lw=1.4,
            label=wrapped(row),
        )
    axis.set_xlim(0, 100)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("% of the examples to be forgotten")
    axis.set_ylabel("KLoM at most")
    plain(axis)
    legend(figure, handles)
    return figure


def _percents(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The percents at which quantiles stand: 1, 2, ..., 99 of 99."""
    return 100 * np.arange(1, len(values) + 1) / (len(values) + 1)


def _held(example: Example, name: str, rates: NDArray[np.floating]) -> NDArray[np.floating]:
    """A curve of rates at other false positive rates: its value at the nearest one below."""
    places = np.searchsorted(example["roc_fpr"], rates, side="right") - 1
    return np.where(places < 0, 0.0, example[name][np.maximum(places, 0)])
