"""What of experiments is known to be wrong before one of their networks is trained."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from junlearn import outputs
from junlearn.engine import processes
from junlearn.errors import JunlearnError
from junlearn.experiment import original_file
from junlearn.experiment.progress import Reporter
from junlearn.experiment.resolved import Resolved, surrogate_of
from junlearn.experiment.schema import digest, plain
from junlearn.experiment.scoring import asked, foreseen
from junlearn.experiment.setup import choose, read, within_memory
from junlearn.experiment.suited import suited
from junlearn.scenarios.partition import so_far

__all__ = ["Foreseen", "foresee"]


class Foreseen(NamedTuple):
    """What is known of an experiment when its data have been read."""

    splits: frozenset[str]
    """Names of the splits that are not empty, those with true labels beside wrong ones as `SPLIT_clean`."""
    classes: tuple[int, ...]
    """The classes that are forgotten whole."""
    proven: frozenset[str]
    """Labels of the methods that come with a proof."""


def foresee(
    experiments: Iterable[tuple[str, Resolved]], cache_dir: str | None, reporter: Reporter
) -> list[Foreseen]:
    """Read the data, resolve the request and make every method of `(title, experiment)`, one after the other.

    Where scores that are not there yet choose what is forgotten, others stand in for them, and that is said.

    Raises a JunlearnError, which begins with the title, for the first that cannot be run.
    """
    return processes.together(
        lambda: within_memory(lambda: _foresee(experiments, cache_dir, reporter))
    )


def _foresee(
    experiments: Iterable[tuple[str, Resolved]], cache_dir: str | None, reporter: Reporter
) -> list[Foreseen]:
    found = []
    known, dataset = "", None
    told: dict[str, None] = {}
    for title, experiment in experiments:
        try:
            # Most points of a grid are about the same data, which are read once for all that follow one another.
            wanted = digest(_data(experiment))
            if dataset is None or wanted != known:
                dataset, _ = read(experiment, cache_dir, reporter)
                known = wanted
            scores = None
            if asked(experiment) is not None:
                scores, line = foreseen(experiment, dataset)
                told[line] = None
            seen, requests, model, _ = choose(experiment, dataset, scores)
            split = so_far(requests)
            methods = {
                label: suited(experiment, label, model, seen.sources)
                for label in experiment.methods
            }
            original_file.network(experiment, model, seen.sources)
        except JunlearnError as error:
            raise type(error)(f"{title}: {error}" if title else str(error)) from error
        clean = outputs.clean(seen.sources, split, seen.views)
        names = outputs.labels(seen.sources, split, seen.views)
        splits = frozenset([*names, *(f"{name}_clean" for name in clean)])
        proven = frozenset(label for label, method in methods.items() if method.certificate)
        found.append(Foreseen(splits, split.classes, proven))
    for line in filter(None, told):
        reporter.say(line)
    return found


def _data(experiment: Resolved) -> list[Any]:
    parts = (experiment.dataset, surrogate_of(experiment))
    shares = (experiment.held_out, experiment.validation)
    return [*map(plain, parts), *shares, experiment.seed if any(shares) else None]
