"""What a figure looks like when it is drawn: where its words are, and whether they lie on each other."""

import itertools

from matplotlib.text import Text

from junlearn.reports import style

TOUCH = 1.0
"""Dots that boxes of words may share: letters do not fill them."""


def words(figure):
    """Every text that is seen, with its box; ticks beyond the axes are not."""
    figure.draw_without_rendering()
    beyond = set()
    for axis in figure.axes:
        for part in (axis.xaxis, axis.yaxis):
            low, high = sorted(part.get_view_interval())
            for tick in (*part.get_major_ticks(), *part.get_minor_ticks()):
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    beyond |= {tick.label1, tick.label2}
    found = []
    for text in figure.findobj(Text):
        if text in beyond or not text.get_visible() or not text.get_text().strip():
            continue
        axis = text.axes
        if axis is not None and not (axis.get_visible() and axis.axison):
            continue
        found.append((text.get_text(), text.get_window_extent()))
    return found


def flaws(figure):
    """What is wrong with the words of a figure: two on each other, one outside, one too small, a legend on data."""
    seen = words(figure)
    wrong = [
        (first, second)
        for (first, one), (second, other) in itertools.combinations(seen, 2)
        if min(one.x1, other.x1) - max(one.x0, other.x0) > TOUCH
        and min(one.y1, other.y1) - max(one.y0, other.y0) > TOUCH
    ]
    frame = figure.bbox
    wrong += [
        (text, "outside")
        for text, box in seen
        if box.x0 < frame.x0 - 1 or box.y0 < frame.y0 - 1 or box.x1 > frame.x1 + 1
        or box.y1 > frame.y1 + 1
    ]  # fmt: skip
    wrong += [
        (text.get_text(), text.get_fontsize())
        for text in figure.findobj(Text)
        if text.get_text() and text.get_fontsize() < style.SMALL
    ]
    for legend in figure.legends:
        box = legend.get_window_extent()
        wrong += [
            ("legend", axis) for axis in figure.axes if axis.get_window_extent().overlaps(box)
        ]
    return wrong


def labels(figure):
    """The words of the only legend."""
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]
