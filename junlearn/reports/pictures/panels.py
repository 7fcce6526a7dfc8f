"""Many networks side by side: a panel each, so many in a picture, each picture with the network before and the
retrained one.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from junlearn.experiment.asking import Asked
from junlearn.reports.style import PAGE, TEXT, TITLE, Canvas, wrapped

__all__ = ["below", "forgotten_classes", "grid", "named", "pages", "short"]

MOST = 9
"""Panels in a picture."""
ACROSS = 3
"""Of them side by side."""
WIDEST = 32


def pages(networks: Sequence[Asked], most: int = MOST) -> list[list[Asked]]:
    """The networks of each picture: the original, the retrained one and some of the methods; each method is in one."""
    first = [n for role in ("original", "retrain") for n in networks if n.role == role]
    others = [n for n in networks if n.role not in ("original", "retrain")]
    size = max(1, most - len(first))
    count = max(1, -(-len(others) // size))
    # As even as can be: 8 methods of which 7 fit are 4 and 4.
    ends = [number * len(others) // count for number in range(count + 1)]
    return [[*first, *others[i:j]] for i, j in pairwise(ends)]


def named(
    name: str, networks: Sequence[Asked], draw: Callable[[Sequence[Asked]], Figure | None]
) -> dict[str, Figure]:
    """The pictures of all networks by the names of their files: `name`, or `name_1`, `name_2` and so on."""
    found = [figure for page in pages(networks) if (figure := draw(page)) is not None]
    names = [name] if len(found) == 1 else [f"{name}_{i}" for i in range(1, len(found) + 1)]
    return dict(zip(names, found, strict=True))


def grid(
    networks: Sequence[Asked], height: float, width: float = PAGE
) -> tuple[Canvas, list[Axes]]:
    """A figure with a panel a network, `height` inches each, with its label above.

    A single panel has no label: what shows it names it.
    """
    across = min(ACROSS, len(networks)) if width >= PAGE else 1
    down = -(-len(networks) // across)
    if len(networks) > 1 and across < ACROSS and width >= PAGE:
        width *= across / ACROSS
    figure = Canvas(width, down * height)
    axes = figure.subplots(down, across, squeeze=False)
    shown = list(axes.flat[: len(networks)])
    for axis in axes.flat[len(networks) :]:
        axis.set_axis_off()
    for axis, network in zip(shown, networks, strict=True):
        if len(networks) > 1:
            axis.set_title(wrapped(network.label, WIDEST), fontsize=TITLE)
    return figure, shown


def below(axes: Sequence[Axes], text: str) -> None:
    """Write what the horizontal axes are under the lowest panel of each column."""
    across = axes[0].get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    for axis in axes[-across:]:
        axis.set_xlabel(text, fontsize=TEXT)


def forgotten_classes(labels: Sequence[int], count: int) -> set[int]:
    """The classes that a request is about, of `count`; none where it is about examples of most classes."""
    found = set(map(int, labels))
    return found if len(found) <= count / 2 else set()


def short(name: str, most: int) -> str:
    """A class beside an axis, cut where it would leave no room for the picture."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
