"""The points of a grid are carried out, here or on a cluster; whatever ends it, what was measured is kept."""

import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from junlearn import cli
from junlearn.commands.arguments import PROGRAM
from junlearn.comparison.made_with import aside, covered
from junlearn.engine import processes
from junlearn.errors import ConfigError, DivergedError
from junlearn.experiment import logged, sweep
from junlearn.experiment.evaluate import Outcome
from junlearn.experiment.execute import execute
from junlearn.experiment.foresight import foresee
from junlearn.experiment.locks import InUse
from junlearn.experiment.progress import Reporter
from junlearn.text.terminal import printable

__all__ = ["Engine", "Failures", "Grid", "hint", "in_turn", "one", "walk"]

Failures = list[tuple[str, Exception]]
"""Where something failed, in words, and what."""


class Grid(NamedTuple):
    """The points that are to be carried out, and where."""

    points: Sequence[sweep.Point]
    workdir: Path
    cache_dir: str | None
    fresh: Any


Engine = Callable[[Grid, Reporter], Iterator[tuple[int, Outcome | Exception]]]
"""Carries out all points, and gives of each, as soon as it is done, its place among them and what came of it."""


def one(
    point: sweep.Point, grid: Grid, reporter: Reporter, *, waiting: bool = False
) -> Outcome | DivergedError:
    """Carry out a point in its directory. Raises InUse where another run has that, unless it is `waiting` for it."""
    directory = point.directory(grid.workdir)
    try:
        with logged.opened(point.experiment, directory, reporter, grid.workdir.name) as log:
            return execute(
                *(point.experiment, directory, grid.cache_dir, reporter),
                fresh=grid.fresh,
                log=log,
                waiting=waiting,
            )
    except DivergedError as error:
        return error


def in_turn(grid: Grid, reporter: Reporter) -> Iterator[tuple[int, Outcome | Exception]]:
    """The points one after the other, in this process.

    One that another run is at is left to it, and looked at again when all others are done.
    """
    later: list[tuple[int, sweep.Point]] = []
    for place, point in enumerate(grid.points):
        _announce(grid, place, reporter)
        try:
            yield place, one(point, grid, reporter)
        except InUse:
            reporter.say("another run is at this point: the others come first")
            later.append((place, point))
    for place, point in later:
        _announce(grid, place, reporter)
        yield place, one(point, grid, reporter, waiting=True)


def _announce(grid: Grid, place: int, reporter: Reporter) -> None:
    total, title = len(grid.points), grid.points[place].title()
    reporter.console.print(f"point {place + 1} of {total}: {printable(title)}")


def walk(
    grid: Grid,
    console: Console,
    *,
    check: Callable[[Sequence[Collection[str]]], None],
    keep: Callable[[list[sweep.Trial]], None],
    engine: Engine = in_turn,
) -> Failures:
    """Run the experiment of each point in its directory; returns what failed.

    `check` gets the splits of each point that are not empty, once the data have been read, and raises for what cannot
    be done. `keep` gets all trials at the end, in the order of the points, also where an error or a signal is the end;
    it may raise ConfigError.
    """
    points, reporter = grid.points, Reporter(console)
    cli.keep_compilations(grid.cache_dir)
    titled = [(point.title(), point.experiment) for point in points]
    check([each.splits for each in foresee(titled, grid.cache_dir, reporter)])
    found: dict[int, list[sweep.Trial]] = {}
    failed: dict[int, Failures] = {}
    more: Failures = []
    networks = [label for point in points for label in point.networks * point.requests]
    try:
        with reporter.whole(networks), closing(engine(grid, reporter)) as outcomes:  # type: ignore[type-var]
            for place, outcome in outcomes:
                point = points[place]
                if isinstance(outcome, Exception):
                    failed[place] = [(f"{point.title()}: ", outcome)]
                    for label in point.networks:
                        reporter.finished(label, None)
                    continue
                found[place] = sweep.trials(point, outcome.records)
                failed[place] = [
                    (f"{point.title()}, {label}: ", e) for label, e in outcome.failures.items()
                ]
    finally:
        measured = [trial for place in sorted(found) for trial in found[place]]
        if processes.is_first() and measured:
            try:
                keep(sweep.by_request(measured))
            except ConfigError as error:
                more.append(("", error))
    return [*(each for place in sorted(failed) for each in failed[place]), *more]


def hint(workdir: Path, points: Sequence[sweep.Point], over: Sequence[str]) -> str:
    """How the methods in this directory are compared, on a line."""
    by = [axis for axis in points[0].axes if not covered(axis, over) and not aside(axis)]
    words = [*([] if list(over) == ["seed"] else ["--over", *over])]
    words += ["--by", *by] if by else []
    return printable("compare: " + shlex.join([*PROGRAM.split(), "compare", str(workdir), *words]))
