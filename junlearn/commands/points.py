"""The points of a grid, carried out one after the other; whatever ends it, what was measured is kept."""

import shlex
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from junlearn import cli
from junlearn.commands.arguments import PROGRAM
from junlearn.comparison.made_with import aside, covered
from junlearn.engine import processes
from junlearn.errors import ConfigError, DivergedError
from junlearn.experiment import logged, sweep
from junlearn.experiment.execute import execute
from junlearn.experiment.foresight import foresee
from junlearn.experiment.progress import Reporter
from junlearn.text.terminal import printable

__all__ = ["Failures", "hint", "walk"]

Failures = list[tuple[str, Exception]]
"""Where something failed, in words, and what."""


def walk(
    points: Sequence[sweep.Point],
    workdir: Path,
    cache_dir: str | None,
    fresh: Any,
    console: Console,
    *,
    check: Callable[[Sequence[Collection[str]]], None],
    keep: Callable[[list[sweep.Trial]], None],
) -> Failures:
    """Run the experiment of each point in its directory; returns what failed.

    `check` gets the splits of each point that are not empty, once the data have been read, and raises for what cannot
    be done. `keep` gets all trials at the end, also where an error or a signal is the end; it may raise ConfigError.
    """
    reporter = Reporter(console)
    cli.keep_compilations(cache_dir)
    titled = [(point.title(), point.experiment) for point in points]
    check([each.splits for each in foresee(titled, cache_dir, reporter)])
    found: list[sweep.Trial] = []
    failures: Failures = []
    networks = [label for point in points for label in point.networks * point.requests]
    try:
        with reporter.whole(networks):
            for number, point in enumerate(points, start=1):
                console.print(f"point {number} of {len(points)}: {printable(point.title())}")
                try:
                    directory = point.directory(workdir)
                    with logged.opened(point.experiment, directory, reporter, workdir.name) as log:
                        outcome = execute(
                            *(point.experiment, directory, cache_dir, reporter),
                            fresh=fresh,
                            log=log,
                        )
                except DivergedError as error:
                    failures.append((f"{point.title()}: ", error))
                    for label in point.networks:
                        reporter.finished(label, None)
                    continue
                found += sweep.trials(point, outcome.records)
                failures += [
                    (f"{point.title()}, {label}: ", e) for label, e in outcome.failures.items()
                ]
    finally:
        if processes.is_first() and found:
            try:
                keep(sweep.by_request(found))
            except ConfigError as error:
                failures.append(("", error))
    return failures


def hint(workdir: Path, points: Sequence[sweep.Point], over: Sequence[str]) -> str:
    """How the methods in this directory are compared, on a line."""
    by = [axis for axis in points[0].axes if not covered(axis, over) and not aside(axis)]
    words = [*([] if list(over) == ["seed"] else ["--over", *over])]
    words += ["--by", *by] if by else []
    return printable("compare: " + shlex.join([*PROGRAM.split(), "compare", str(workdir), *words]))
