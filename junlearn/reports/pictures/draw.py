"""The pictures of a run and of a sweep as files."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from junlearn.experiment.asking import Answers
from junlearn.experiment.records import Record
from junlearn.reports import requests
from junlearn.reports.pictures.class_accuracy import class_accuracy
from junlearn.reports.pictures.confidences import confidences
from junlearn.reports.pictures.confusion import confusion
from junlearn.reports.pictures.curves import MOST, curves, heading, panels
from junlearn.reports.pictures.embedding import embedding, plane
from junlearn.reports.pictures.gaps import gaps
from junlearn.reports.pictures.over_requests import over_requests
from junlearn.reports.pictures.panels import named
from junlearn.reports.pictures.relearn_curves import relearning
from junlearn.reports.pictures.time_quality import time_quality
from junlearn.reports.pictures.trade_off import trade_off
from junlearn.reports.style import save

__all__ = ["of_answers", "of_records", "write", "written"]


def write(
    records: Sequence[Record],
    found: Answers | None,
    directory: Path,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """All pictures of a run in `directory`, which is made; returns the paths of the files.

    `found` is what its networks say; without it there are the pictures of the records alone.
    """
    shown = requests.last(records)
    figures = of_records(shown)
    if found is not None:
        figures |= of_answers(found, ", ".join(heading(shown)))
    if (stream := over_requests(records)) is not None:
        figures["requests"] = stream
    return written(figures, directory, formats)


def of_records(records: Sequence[Record]) -> dict[str, Figure]:
    """Name of its file -> picture, of all that records alone tell; what has no data is left out."""
    figures = {
        "gaps": gaps(records),
        "trade_off": trade_off(records),
        "time_quality": time_quality(records),
        "relearning": relearning(records),
    }
    found = {name: figure for name, figure in figures.items() if figure is not None}
    return found | dict(_curves(records))


def of_answers(found: Answers, title: str) -> dict[str, Figure]:
    """Name of its file -> picture, of what networks say of examples; of many networks several of a kind."""
    figures: dict[str, Figure] = {}
    if (whole := class_accuracy(found, title=title)) is not None:
        figures["class_accuracy"] = whole
    networks = found.networks
    figures |= named("confusion", networks, partial(confusion, found, title=title))
    if (placed := plane(found)) is not None:
        figures |= named("embedding", networks, partial(embedding, found, placed, title=title))
    return figures | named("confidence", networks, partial(confidences, found, title=title))


def written(
    figures: Mapping[str, Figure], directory: Path, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """Write pictures as files of these formats; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        for kind in formats:
            paths.append(directory / f"{name}.{kind}")
            save(figure, paths[-1])
    return paths


def _curves(records: Sequence[Record]) -> Iterator[tuple[str, Figure]]:
    whole = panels(records)
    parts = [whole[i : i + MOST] for i in range(0, len(whole), MOST)]
    for number, part in enumerate(parts, start=1):
        figure = curves(part, titles=heading(records))
        if figure is not None:
            yield ("curves" if len(parts) == 1 else f"curves_{number}"), figure
