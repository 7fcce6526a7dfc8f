"""What an experiment is about before any network is trained: data, network, request, seeds, and their identities."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
from jax.sharding import AxisType, Mesh

from junlearn.datasets.holdout import hold_out, set_aside
from junlearn.datasets.surrogate import attach
from junlearn.engine import processes
from junlearn.engine.checkpoint import Store
from junlearn.engine.precision import Precision, in_precision
from junlearn.engine.run import place
from junlearn.errors import ConfigError
from junlearn.experiment.progress import Reporter
from junlearn.experiment.schema import described, digest, plain, thing_of
from junlearn.memo import remembered
from junlearn.models.weights import file_digest
from junlearn.plugins.registry import metrics_of
from junlearn.plugins.source import is_own, source_digest
from junlearn.scenarios import remarks
from junlearn.types import Dataset, Key, Model, Sources, Split

__all__ = [
    "METHOD",
    "ORIGINAL",
    "RANDOM",
    "RELEARN",
    "RETRAIN",
    "Problem",
    "choose",
    "identities",
    "judgement",
    "key_for",
    "method_identity",
    "model_identity",
    "prepare",
    "read",
    "run_options",
    "surrogate_identity",
    "within_memory",
]

T = TypeVar("T")

ORIGINAL, RETRAIN, SCENARIO, METHOD, RANDOM, RELEARN = range(6)
"""Purposes of random keys: streams that never meet, also where their seeds are equal."""

PLACES = ("data_dir", "path")
"""Fields of a dataset's section that say where it lies, not what it is."""


FORMER = {"noisy_labels": "noise"}
"""Scenarios that had another name: what was made under it is found again."""


class Problem(NamedTuple):
    """What stands before any network is trained."""

    experiment: Any
    dataset: Dataset
    model: Model
    split: Split
    sources: Sources
    seeds: dict[str, int]
    mesh: Mesh | None
    surrogate: Dataset | None = None
    """Where the source "surrogate" comes from."""


def prepare(experiment: Any, cache_dir: str | None, reporter: Reporter) -> Problem:
    """Read the data, build the network and choose what is forgotten: the same in all processes of a run."""
    problem = processes.together(
        lambda: within_memory(lambda: _prepare(experiment, cache_dir, reporter))
    )
    processes.same(
        "configuration or data", lambda: digest([plain(experiment), *identities(problem)])
    )
    return problem


def _prepare(experiment: Any, cache_dir: str | None, reporter: Reporter) -> Problem:
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
    sources = place(dataset.sources, mesh)
    return Problem(experiment, dataset, model, split, sources, seeds, mesh, surrogate)


def read(
    experiment: Any, cache_dir: str | None, reporter: Reporter
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
    if (section := getattr(experiment, "surrogate", None)) is not None:
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


def choose(experiment: Any, dataset: Dataset) -> tuple[Dataset, Split, Model, dict[str, int]]:
    """The data as training sees them, what is forgotten, the network (not trained) and the seeds."""
    seeds = {
        name: experiment.seed if seed is None else seed
        for name, seed in plain(experiment.seeds).items()
    }
    model = _network(
        experiment.model, len(dataset.classes), dataset.input_shape, experiment.precision
    )
    scenario = thing_of(experiment.scenario)
    made = scenario.make(experiment.scenario, dataset, key_for(seeds["scenario"], SCENARIO))
    dataset, split = made if scenario.manipulates else (dataset, made)
    return dataset, split, model, seeds


def _remarks(
    scenario: Any, dataset: Dataset, surrogate: Dataset | None, split: Split
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
def _network(
    config: Any, classes: int, input_shape: tuple[int, int, int], precision: Precision
) -> Model:
    """The same Model for equal arguments: what other experiments of this process compiled for it serves again."""
    return in_precision(thing_of(config).make(config, classes, input_shape), precision)


def key_for(seed: int, purpose: int) -> Key:
    """The random key of a seed for one of the purposes above."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def run_options(problem: Problem, store: Store | None) -> dict[str, Any]:
    """The keywords of `junlearn.engine.run.run` that all runs of the experiment share."""
    loop = problem.experiment.loop
    return {
        "seed": problem.seeds["order"],
        "views": problem.dataset.views,
        "loop": loop.kind,
        "mesh": problem.mesh,
        "store": store,
        "save_seconds": loop.save_seconds,
    }


def identities(problem: Problem) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that determines the numbers of the original network, and of the retrained one, but versions and device."""
    experiment = problem.experiment
    original = _original(problem)
    section = _request(problem)
    request = {"scenario": section, "scenario_seed": problem.seeds["scenario"]}
    scenario = thing_of(experiment.scenario)
    if scenario.manipulates:
        manipulation = {name: section[name] for name in section if name not in scenario.request}
        original |= request | {"scenario": manipulation}
    return original, original | request | {"retrain_init": experiment.retrain_init}


def _request(problem: Problem) -> dict[str, Any]:
    """The section of the scenario; where a file names what is forgotten, the rows that it names in its place."""
    section = described(problem.experiment.scenario)
    section["name"] = FORMER.get(section["name"], section["name"])
    if "file" not in section:
        return section
    return {"name": section["name"], "rows": digest(problem.split.forget.tolist())}


def judgement(experiment: Any) -> dict[str, Any]:
    """All that determines how a network is judged, beside the networks themselves."""
    asked = {"metrics": experiment.metrics, "train_view": experiment.train_view}
    functions = metrics_of(experiment.metrics).items()
    if others := {name: source_digest(f) for name, f in functions if not is_own(f)}:
        asked["sources"] = others
    # Left out where it is not set: records from before it was a setting are found again.
    return asked if experiment.sample is None else asked | {"sample": experiment.sample}


def surrogate_identity(problem: Problem) -> dict[str, Any]:
    """The surrogate images as a part of what determines a method's numbers; empty where there are none."""
    if problem.surrogate is None:
        return {}
    section = _what(described(problem.experiment.surrogate))
    return {"surrogate": section | {"fingerprint": problem.surrogate.fingerprint}}


def _what(section: dict[str, Any]) -> dict[str, Any]:
    """The section of a dataset without the fields that say where it lies."""
    return {name: value for name, value in section.items() if name not in PLACES}


def _original(problem: Problem) -> dict[str, Any]:
    return {
        "format": 1,
        "dataset": _what(described(problem.experiment.dataset)),
        "fingerprint": problem.dataset.fingerprint,
        "model": model_identity(problem.experiment.model),
        "train": plain(problem.experiment.train),
        "precision": problem.experiment.precision,
        "order": problem.seeds["order"],
        "initialisation": problem.seeds["initialisation"],
        **_matmuls(problem.experiment),
    }


def _matmuls(experiment: Any) -> dict[str, Any]:
    """Left out where it is the usual one: networks from before it was a setting are found again."""
    chosen = experiment.matmul_precision
    return {} if chosen == "highest" else {"matmul_precision": chosen}


def model_identity(config: Any) -> dict[str, Any]:
    """The section of a model, with the content of its file of weights in the place of the path."""
    return _by_content(described(config), "weights")


def method_identity(config: Any) -> dict[str, Any]:
    """The section of a method, with the content of a file of class statistics in the place of the path."""
    return _by_content(described(config), "statistics")


def _by_content(section: dict[str, Any], field: str) -> dict[str, Any]:
    path = section.get(field)
    return section if path is None else section | {field: file_digest(path)}
