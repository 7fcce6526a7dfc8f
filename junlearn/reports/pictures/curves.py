"""What was measured while networks were trained: losses and accuracies of every epoch, all networks in one grid."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from junlearn.experiment.records import Record
from junlearn.reports.pictures.method_runs import Setting, seeds, settings
from junlearn.reports.style import (
    MIDDLE,
    PAGE,
    SMALL,
    TEXT,
    Canvas,
    Look,
    headed,
    legend_below,
    look,
    plain,
    wrapped,
)

__all__ = ["Panel", "curves", "panels"]

MOST = 20
"""Panels in a picture."""
ACROSS = 4
KINDS = {"loss": ("loss", 1), "accuracy": ("accuracy, %", 100)}
"""What a name of the history holds, with the title of its panels and the factor of its values."""
WIDEST = 24
NAMED = 4
"""Stages that a title has the names of."""


class Panel(NamedTuple):
    """The curves of a network that have one unit."""

    label: str
    kind: str
    """Of KINDS."""
    lines: Mapping[str, list[tuple[int, float]]]
    """Name -> (epoch, counted through all stages, value)."""
    stages: tuple[str, ...]
    """In their order, each once."""
    turns: tuple[float, ...]
    """Between which epochs a stage ends; empty where stages take turns."""


def panels(records: Sequence[Record]) -> list[Panel]:
    """What there is to draw: a panel a network and unit; of several runs of a network the mean of each epoch."""
    return [
        panel
        for setting in settings(records)
        for kind in KINDS
        if (panel := _panel(setting, kind)) is not None
    ]


def curves(
    shown: Sequence[Panel], *, width: float = PAGE, titles: Sequence[str] = ()
) -> Figure | None:
    """A small panel each, with a line a loss or an accuracy: the mean of each epoch over the examples of its steps.

    Dotted lines part the stages of a method. Up to four stand in the title of the panel, of more their number. None
    without panels.
    """
    if not shown:
        return None
    across = min(ACROSS if width >= PAGE else 1, len(shown))
    down = -(-len(shown) // across)
    figure = Canvas(width, 1.5 * down + 0.1)
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    names = sorted({name for panel in shown for name in panel.lines}, key=_place)
    looks = {name: look(number) for number, name in enumerate(names)}
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes, shown, strict=False):
        plain(axis)
        axis.tick_params(labelsize=SMALL)
        for turn in panel.turns:
            axis.axvline(turn, color=MIDDLE, lw=0.6, ls=":")
        for name, points in panel.lines.items():
            axis.plot(*zip(*points, strict=True), **_thin(looks[name], len(points)))
        head, _ = KINDS[panel.kind]
        stages = wrapped(_stages(panel), WIDEST + 4)
        title = wrapped(panel.label, WIDEST) + (f"\n{stages}" if stages else "")
        axis.set_title(title, fontsize=TEXT)
        axis.set_ylabel(head, fontsize=SMALL, labelpad=1)
        axis.locator_params(axis="y", nbins=4)
        axis.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    for axis in axes[max(0, len(shown) - across) : len(shown)]:
        axis.set_xlabel("epoch", fontsize=SMALL, labelpad=1)
    handles = [
        Line2D([], [], label=wrapped(name.replace("_", " ")), **_thin(looks[name], 3))
        for name in names
    ]
    legend_below(figure, handles)
    if titles:
        note = "each point is the mean over the examples that the steps of an epoch saw"
        headed(figure, "Training and unlearning", *titles, note=note)
    return figure


def _panel(setting: Setting, kind: str) -> Panel | None:
    factor = KINDS[kind][1]
    values: dict[str, dict[int, list[float]]] = {}
    stages: list[str] = []
    for run in setting.runs:
        entries = [e for e in run.record["history"] if any(kind in name for name in e)]
        if len(entries) > len(stages):
            stages = [str(entry["stage"]) for entry in entries]
        for epoch, entry in enumerate(entries, start=1):
            for name, value in entry.items():
                if kind in name:
                    values.setdefault(name, {}).setdefault(epoch, []).append(factor * value)
    if not values:
        return None
    lines = {
        name: [(epoch, fmean(found)) for epoch, found in values[name].items()]
        for name in sorted(values, key=_place)
    }
    unique = tuple(dict.fromkeys(stages))
    turns = tuple(
        place + 0.5 for place in range(1, len(stages)) if stages[place] != stages[place - 1]
    )
    told = tuple(name.replace("_", " ") for name in unique)
    return Panel(setting.label, kind, lines, told, turns if len(turns) < len(unique) else ())


def _stages(panel: Panel) -> str:
    """The names of the stages, where there are several and the title has room for them; else how many there are."""
    count = len(panel.stages)
    if count > NAMED:
        return f"{count} stages"
    return (" → " if panel.turns else ", ").join(panel.stages) if count > 1 else ""


def _place(name: str) -> tuple[int, str]:
    """What is forgotten and kept stands first, then the whole, then parts of it."""
    first = ("forget", "retain")
    for number, word in enumerate(first):
        if name.startswith(word):
            return number, name
    return (2 if name in KINDS else 3), name


def _thin(seen: Look, points: int) -> dict[str, Any]:
    return seen.line | {"ms": 3.0 if points <= 12 else 0.0}


def heading(records: Sequence[Record]) -> tuple[str, ...]:
    """Which runs they are of."""
    first = records[0]
    return first["dataset"], first["model"], f"scenario {first['scenario']}", seeds(records)
