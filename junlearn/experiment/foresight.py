"""What of experiments is known to be wrong before one of their networks is trained."""

from collections.abc import Iterable
from typing import Any

from junlearn import outputs
from junlearn.engine import processes
from junlearn.errors import JunlearnError
from junlearn.experiment import original_file
from junlearn.experiment.progress import Reporter
from junlearn.experiment.resolved import Resolved, method_of, surrogate_of
from junlearn.experiment.schema import digest, plain, thing_of
from junlearn.experiment.setup import choose, read, within_memory
from junlearn.methods import build

__all__ = ["foresee"]


def foresee(
    experiments: Iterable[tuple[str, Resolved]], cache_dir: str | None, reporter: Reporter
) -> list[frozenset[str]]:
    """Read the data, resolve the request and make every method of `(title, experiment)`, one after the other.

    Returns the names of the splits of each that are not empty, those with true labels beside wrong ones as
    `SPLIT_clean`. Raises a JunlearnError, which begins with the title, for the first that cannot be run.
    """
    return processes.together(
        lambda: within_memory(lambda: _foresee(experiments, cache_dir, reporter))
    )


def _foresee(
    experiments: Iterable[tuple[str, Resolved]], cache_dir: str | None, reporter: Reporter
) -> list[frozenset[str]]:
    found = []
    known, dataset = "", None
    for title, experiment in experiments:
        try:
            # Most points of a grid are about the same data, which are read once for all that follow one another.
            wanted = digest(_data(experiment))
            if dataset is None or wanted != known:
                dataset, _ = read(experiment, cache_dir, reporter)
                known = wanted
            seen, split, model, _ = choose(experiment, dataset)
            for label in experiment.methods:
                config = method_of(experiment, label)
                original_file.check_method(
                    experiment, label, build(thing_of(config), config, model)
                )
            original_file.network(experiment, model, seen.sources)
        except JunlearnError as error:
            raise type(error)(f"{title}: {error}" if title else str(error)) from error
        clean = outputs.clean(seen.sources, split, seen.views)
        names = outputs.labels(seen.sources, split, seen.views)
        found.append(frozenset([*names, *(f"{name}_clean" for name in clean)]))
    return found


def _data(experiment: Resolved) -> list[Any]:
    parts = (experiment.dataset, surrogate_of(experiment))
    shares = (experiment.held_out, experiment.validation)
    return [*map(plain, parts), *shares, experiment.seed if any(shares) else None]
