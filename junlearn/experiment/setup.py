"""What an experiment is about before any network is trained: data, network, request and seeds."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from junlearn.datasets.holdout import hold_out, set_aside
from junlearn.datasets.surrogate import attach
from junlearn.engine.checkpoint import Store
from junlearn.engine.precision import Precision, in_precision
from junlearn.engine.settings import Progress, RunOptions
from junlearn.errors import ConfigError
from junlearn.experiment import original_file
from junlearn.experiment.progress import Reporter
from junlearn.experiment.resolved import NamedConfig, Resolved, surrogate_of
from junlearn.experiment.schema import plain, thing_of
from junlearn.logs.logger import Logger
from junlearn.memo import remembered
from junlearn.scenarios.partition import so_far
from junlearn.types import Dataset, Key, Model, Sources, Split, Variables

__all__ = [
    "METHOD",
    "ORIGINAL",
    "RANDOM",
    "REFERENCE",
    "RELEARN",
    "RETRAIN",
    "Setup",
    "choose",
    "key_for",
    "network_of",
    "read",
    "run_options",
    "seeds_of",
    "within_memory",
]

T = TypeVar("T")

ORIGINAL, RETRAIN, SCENARIO, METHOD, RANDOM, RELEARN = range(6)
"""Purposes of random keys: streams that never meet, also where their seeds are equal. An audit has more, 6 to 10
(`junlearn.audit.streams`)."""
REFERENCE = 11
"""Of the retrained networks after the first; each has a place in this stream."""


class Setup(NamedTuple):
    """What stands before any network is trained."""

    experiment: Resolved
    dataset: Dataset
    model: Model
    split: Split
    sources: Sources
    seeds: dict[str, int]
    mesh: Mesh | None
    surrogate: Dataset | None = None
    """Where the source "surrogate" comes from."""
    scores: str = ""
    """What determines the scores that the request was chosen by, as a digest; empty where there are none."""
    given: Variables | None = None
    """The original network, where it comes from a file."""
    requests: tuple[Split, ...] = ()
    """Of a stream its requests, one after the other; `split` is all of them up to `number`."""
    number: int = 0
    """Which request of a stream this is about, from 1 on; 0: all of them, or no stream."""

    @property
    def asked(self) -> Split:
        """What a method is asked to forget: of a stream the request `number` alone, which leaves earlier ones out."""
        return self.requests[self.number - 1] if self.number else self.split

    def at(self, number: int) -> "Setup":
        """The same of request `number` of a stream."""
        return self._replace(number=number, split=so_far(self.requests[:number]))


def read(
    experiment: Resolved, cache_dir: str | None, reporter: Reporter
) -> tuple[Dataset, Dataset | None]:
    """The data of an experiment, on the host, and where the source "surrogate" in it comes from."""
    with reporter.counting(f"reading {experiment.dataset.name}") as progress:
        dataset = thing_of(experiment.dataset).make(
            experiment.dataset, cache_dir=cache_dir, progress=progress
        )
    if experiment.held_out:
        dataset = hold_out(dataset, experiment.held_out, experiment.seed)
    if experiment.validation:
        dataset = set_aside(dataset, experiment.validation, experiment.seed)
    surrogate = None
    if (section := surrogate_of(experiment)) is not None:
        with reporter.counting(f"reading surrogate {section.name}") as progress:
            surrogate = thing_of(section).make(
                section, input_shape=dataset.input_shape, cache_dir=cache_dir, progress=progress
            )
        dataset = attach(dataset, surrogate)
    if len(dataset.classes) < 2:
        raise ConfigError(
            f"dataset {dataset.name} has {len(dataset.classes)} class: a network needs two or more, an output each"
        )
    return dataset, surrogate


def choose(
    experiment: Resolved, dataset: Dataset, scores: np.ndarray | None = None
) -> tuple[Dataset, tuple[Split, ...], Model, dict[str, int]]:
    """The data as training sees them, the request (of a stream each), the network (not trained) and the seeds.

    `scores` are those of the training examples, for a scenario that chooses by them.
    """
    seeds = seeds_of(experiment)
    model = network_of(
        original_file.model_section(experiment),
        len(dataset.classes),
        dataset.input_shape,
        experiment.precision,
    )
    scenario = thing_of(experiment.scenario)
    key = key_for(seeds["scenario"], SCENARIO)
    chosen_by = () if scores is None else (scores,)
    made = scenario.make(experiment.scenario, dataset, key, *chosen_by)
    dataset, made = made if scenario.manipulates else (dataset, made)
    if scenario.sequence is None:
        return dataset, (made,), model, seeds
    _check_sequence(experiment.scenario.name, made)
    return dataset, tuple(made), model, seeds


def _check_sequence(name: str, requests: Sequence[Split]) -> None:
    """Raises ConfigError where what a request has forgotten is in a set of a later one, or of its own retain set."""
    gone = np.zeros(0, int)
    for number, request in enumerate(requests, start=1):
        gone = np.concatenate([gone, request.forget])
        again = gone.size - np.unique(gone).size + np.isin(request.retain, gone).sum()
        if again:
            raise ConfigError(
                f"scenario {name}: request {number} reads {again} examples that were forgotten before it, or retains "
                "what it forgets"
            )


def within_memory(work: Callable[[], T]) -> T:
    """What `work` gives. Raises ConfigError where the memory of this machine does not hold it."""
    try:
        return work()
    except MemoryError as error:
        raise ConfigError(
            f"the data or the network of this configuration do not fit into memory ({error}); choose smaller sizes"
        ) from error


@remembered
def network_of(
    config: NamedConfig, classes: int, input_shape: tuple[int, int, int], precision: Precision
) -> Model:
    """The network of a section `[model]`, not trained yet.

    It is the same object for equal arguments: what other experiments of this process compiled for it serves again.
    """
    return in_precision(thing_of(config).make(config, classes, input_shape), precision)


def seeds_of(experiment: Resolved) -> dict[str, int]:
    """The seed of each source of randomness: its own, or else that of the run."""
    seeds = plain(experiment.seeds)
    return {name: experiment.seed if seed is None else seed for name, seed in seeds.items()}


def key_for(seed: int, purpose: int) -> Key:
    """The random key of a seed for one of the purposes above."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def run_options(
    setup: Setup,
    progress: Progress | None = None,
    *,
    store: Store | None = None,
    begun: Store | None = None,
    log: Sequence[Logger] = (),
) -> RunOptions:
    """The keywords of `junlearn.engine.run.run` for the runs of the experiment."""
    loop = setup.experiment.loop
    return RunOptions(
        seed=setup.seeds["order"],
        views=setup.dataset.views,
        loop=loop.kind,
        mesh=setup.mesh,
        store=store,
        begun=begun,
        save_seconds=loop.save_seconds,
        progress=progress,
        log=log,
    )
