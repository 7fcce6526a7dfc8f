"""The pictures of a sweep: those of its records at each place of the grid, and the curves of corrective papers."""

from collections.abc import Collection, Sequence

from matplotlib.figure import Figure

from junlearn.experiment.folders import words
from junlearn.experiment.records import Record
from junlearn.experiment.sweep import Trial
from junlearn.reports.pictures.gaps import gaps
from junlearn.reports.pictures.share_curves import share_curves
from junlearn.reports.pictures.time_quality import time_quality
from junlearn.reports.pictures.trade_off import trade_off

__all__ = ["of_grid"]

PLACES = 9
"""Places of a grid with pictures of their own; of more there is one picture over all of them."""


def of_grid(
    runs: Sequence[Sequence[Trial]], over: Collection[str] = ("seed",)
) -> dict[str, Figure]:
    """Name of its file -> picture, of the chosen settings: points are means over the axes `over`, with deviations.

    A grid with a few other places has the pictures of each, `gaps_1`, `gaps_2` and so on, with the place in the
    heading. One with many has one picture over all places, which says so.
    """
    if not runs:
        return {}
    places: dict[str, list[Record]] = {}
    several = {(group[0].method, tuple(group[0].settings.items())) for group in runs}
    for group in runs:
        here = words({key: value for key, value in group[0].axes.items() if key not in over})
        others = sum(method == group[0].method for method, _ in several)
        settings = ", ".join(f"{name} {value}" for name, value in group[0].settings.items())
        label = f"{group[0].method} ({settings})" if others > 1 else group[0].method
        for trial in group:
            places.setdefault(here, []).append({**trial.record, "method": label})
    if len(places) > PLACES:
        whole = [record for records in places.values() for record in records]
        places = {f"over all {len(places)} places of the grid": whole}
    figures: dict[str, Figure | None] = {"curves": share_curves(runs, over)}
    for number, (where, records) in enumerate(places.items(), start=1):
        end = "" if len(places) == 1 else f"_{number}"
        figures[f"gaps{end}"] = gaps(records, where=where)
        figures[f"trade_off{end}"] = trade_off(records, where=where)
        figures[f"time_quality{end}"] = time_quality(records, where=where)
    return {name: figure for name, figure in figures.items() if figure is not None}
