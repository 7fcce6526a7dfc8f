"""What the heads of networks read, in one plane: where the examples to be forgotten lie, before and after."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from junlearn.experiment.asking import Answers, Asked
from junlearn.reports.pictures.one_plane import Project, aligned, principal
from junlearn.reports.pictures.panels import grid, short
from junlearn.reports.style import (
    BAND,
    INK,
    MIDDLE,
    PAGE,
    SMALL,
    Canvas,
    Look,
    caption,
    headed,
    legend_below,
    look,
)

__all__ = ["Plane", "embedding", "plane"]

COLORED = 10
"""Classes that are told apart; of more, the retained examples are grey."""
EDGE = 0.06
NOTE = "all panels have the same two axes; each network is turned and scaled onto the first by its retained examples"


class Plane(NamedTuple):
    """The examples of several networks in one plane."""

    points: dict[str, np.ndarray]
    """Label -> float[M,2]; of networks that tell their embedding."""
    low: np.ndarray
    """float[2]: where the axes begin."""
    high: np.ndarray
    """float[2]: where they end."""


def plane(found: Answers, project: Project = principal) -> Plane | None:
    """Where the sample of examples lies in each network; None where no network tells its embedding.

    The axes hold the examples of the original and of the retrained network. What lies outside of them is counted in
    the pictures.
    """
    first = {"original": 0, "retrain": 1}
    told = [n for n in found.networks if n.embedding is not None]
    told.sort(key=lambda network: first.get(network.role, 2))
    if not told:
        return None
    embeddings = [np.asarray(network.embedding) for network in told]
    places = project(aligned(embeddings, ~found.sample_forgotten))
    fixed = [p for n, p in zip(told, places, strict=True) if n.role in first] or places[:1]
    held = np.concatenate(fixed)
    low, high = np.nanmin(held, 0), np.nanmax(held, 0)
    edge = EDGE * np.maximum(high - low, 1e-6)
    return Plane({n.label: p for n, p in zip(told, places, strict=True)}, low - edge, high + edge)


def embedding(
    found: Answers,
    placed: Plane,
    networks: Sequence[Asked],
    *,
    width: float = PAGE,
    title: str = "",
) -> Figure | None:
    """A panel a network with the examples in the plane: a colour a class, and crosses on what is to be forgotten.

    All panels have the same axes. None where none of the networks tells its embedding.
    """
    networks = [network for network in networks if network.label in placed.points]
    if not networks:
        return None
    figure, axes = grid(networks, 2.3 if len(networks) > 1 else width, width)
    looks = _looks(found)
    for axis, network in zip(axes, networks, strict=True):
        _panel(axis, found, placed, placed.points[network.label], looks)
    if len(networks) > 1:
        _legend(figure, found, looks)
    if title:
        headed(figure, "Embeddings of training examples", title, note=NOTE)
    return figure


def _panel(
    axis: Axes, found: Answers, placed: Plane, points: np.ndarray, looks: dict[int, Look]
) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color(BAND)
    marked = found.sample_forgotten
    # One picture inside the picture: a thousand marks as shapes would be large.
    for label in np.unique(found.sample_labels):
        here = ~marked & (found.sample_labels == label)
        seen = looks.get(int(label), Look(MIDDLE, "o", "-"))
        axis.scatter(
            points[here, 0], points[here, 1], s=7, lw=0, alpha=0.55 if looks else 0.35,
            color=seen.color, marker=seen.marker, rasterized=True,
        )  # fmt: skip
    x, y = points[marked].T
    axis.scatter(x, y, s=11, marker="x", lw=0.6, color=INK, rasterized=True)
    axis.set_xlim(placed.low[0], placed.high[0])
    axis.set_ylim(placed.low[1], placed.high[1])
    inside = np.isfinite(points).all(1)
    outside = inside & ((points < placed.low) | (points > placed.high)).any(1)
    if outside.any():
        said = f"{100 * outside.sum() / inside.sum():.0f} % lie outside"
        axis.text(
            0.02, 0.02, said, transform=axis.transAxes, fontsize=SMALL, color=INK,
            bbox={"color": "white", "alpha": 0.8, "pad": 1, "lw": 0},
        )  # fmt: skip


def _looks(found: Answers) -> dict[int, Look]:
    labels = np.unique(found.sample_labels[~found.sample_forgotten])
    if len(labels) > COLORED:
        return {}
    return {int(label): look(place) for place, label in enumerate(labels)}


def _legend(figure: Canvas, found: Answers, looks: dict[int, Look]) -> None:
    handles: list[Artist] = [
        Line2D([], [], ls="", marker="x", ms=4, color=INK, label="to be forgotten")
    ]
    for label, seen in looks.items():
        name = caption(short(found.classes[label], 24))
        handles.append(
            Line2D([], [], ls="", marker=seen.marker, ms=4, color=seen.color, label=name)
        )
    if not looks:
        said = "retained, of all classes"
        handles.append(Line2D([], [], ls="", marker="o", ms=3, color=MIDDLE, label=said))
    legend_below(figure, handles)
