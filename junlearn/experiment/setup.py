"""What an experiment is about before any network is trained: data, network, request and seeds."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh

from junlearn.datasets.holdout import hold_out, set_aside
from junlearn.datasets.surrogate import attach
from junlearn.engine import processes
from junlearn.engine.checkpoint import Store
from junlearn.engine.precision import Precision, in_precision
from junlearn.engine.run import place
from junlearn.engine.settings import Progress, RunOptions
from junlearn.errors import ConfigError
from junlearn.experiment import original_file
from junlearn.experiment.progress import Reporter
from junlearn.experiment.resolved import NamedConfig, Resolved, surrogate_of
from junlearn.experiment.schema import plain, thing_of
from junlearn.memo import remembered
from junlearn.scenarios import remarks
from junlearn.types import Dataset, Key, Model, Sources, Split, Variables

__all__ = [
    "METHOD",
    "ORIGINAL",
    "RANDOM",
    "RELEARN",
    "RETRAIN",
    "Setup",
    "choose",
    "key_for",
    "network_of",
    "prepare",
    "read",
    "run_options",
    "seeds_of",
    "within_memory",
]

T = TypeVar("T")

ORIGINAL, RETRAIN, SCENARIO, METHOD, RANDOM, RELEARN = range(6)
"""Purposes of random keys: streams that never meet, also where their seeds are equal. An audit has more
(`junlearn.audit.streams`)."""


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
    given: Variables | None = None
    """The original network, where it comes from a file."""


def prepare(experiment: Resolved, cache_dir: str | None, reporter: Reporter) -> Setup:
    """Read the data, build the network and choose what is forgotten; all processes of a run do it, or none."""
    return processes.together(
        lambda: within_memory(lambda: _prepare(experiment, cache_dir, reporter))
    )


def _prepare(experiment: Resolved, cache_dir: str | None, reporter: Reporter) -> Setup:
    dataset, surrogate = read(experiment, cache_dir, reporter)
    dataset, split, model, seeds = choose(experiment, dataset)
    mesh = None
    if experiment.loop.devices == "all" and jax.device_count() > 1:
        mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    reporter.say(
        f"{dataset.name} {dataset.version}: {len(split.forget):,} training examples to forget, "
        f"{len(split.retain):,} to retain"
    )
    for line in _remarks(experiment.scenario, dataset, surrogate, split):
        reporter.say(line)
    original = original_file.network(experiment, model, dataset.sources)
    if original is not None:
        original = place(jax.tree.map(jnp.asarray, original), mesh)
    sources = place(dataset.sources, mesh)
    return Setup(experiment, dataset, model, split, sources, seeds, mesh, surrogate, original)


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


def choose(experiment: Resolved, dataset: Dataset) -> tuple[Dataset, Split, Model, dict[str, int]]:
    """The data as training sees them, what is forgotten, the network (not trained) and the seeds."""
    seeds = seeds_of(experiment)
    model = network_of(
        original_file.model_section(experiment),
        len(dataset.classes),
        dataset.input_shape,
        experiment.precision,
    )
    scenario = thing_of(experiment.scenario)
    made = scenario.make(experiment.scenario, dataset, key_for(seeds["scenario"], SCENARIO))
    dataset, split = made if scenario.manipulates else (dataset, made)
    return dataset, split, model, seeds


def _remarks(
    scenario: NamedConfig, dataset: Dataset, surrogate: Dataset | None, split: Split
) -> Iterator[str]:
    """What a person should know of the data and of the request, a line each."""
    yield from remarks.meanings(scenario, dataset)
    yield from dataset.remarks
    if surrogate is not None:
        yield from (f"surrogate: {line}" for line in surrogate.remarks)
    yield from remarks.twins(dataset, split)


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
    )
