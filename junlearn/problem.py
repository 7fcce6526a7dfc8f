"""What an experiment is about before any network is trained: data, network, request, seeds, and their identities."""

from typing import Any, NamedTuple

import jax
from jax.sharding import AxisType, Mesh

from junlearn.config import plain
from junlearn.datasets import DATASETS
from junlearn.datasets.holdout import hold_out
from junlearn.models import MODELS
from junlearn.models.weights import file_digest
from junlearn.progress import Reporter
from junlearn.run import place
from junlearn.scenarios import SCENARIOS
from junlearn.types import Dataset, Key, Model, Sources, Split

__all__ = [
    "METHOD",
    "ORIGINAL",
    "RANDOM",
    "RELEARN",
    "RETRAIN",
    "Problem",
    "identities",
    "key_for",
    "model_identity",
    "prepare",
]

ORIGINAL, RETRAIN, SCENARIO, METHOD, RANDOM, RELEARN = range(6)
"""Purposes of random keys: streams that never meet, also where their seeds are equal."""

PLACES = ("data_dir", "path")
"""Fields of a dataset's section that say where it lies, not what it is."""


class Problem(NamedTuple):
    """What stands before any network is trained."""

    experiment: Any
    dataset: Dataset
    model: Model
    split: Split
    sources: Sources
    seeds: dict[str, int]
    mesh: Mesh | None


def prepare(experiment: Any, cache_dir: str | None, reporter: Reporter) -> Problem:
    """Read the data, build the network and choose what is forgotten."""
    with reporter.counting(f"reading {experiment.dataset.name}") as progress:
        dataset = DATASETS[experiment.dataset.name].make(
            experiment.dataset, cache_dir=cache_dir, progress=progress
        )
    if experiment.held_out:
        dataset = hold_out(dataset, experiment.held_out, experiment.seed)
    seeds = {
        name: experiment.seed if seed is None else seed
        for name, seed in plain(experiment.seeds).items()
    }
    model = MODELS[experiment.model.name].make(
        experiment.model, len(dataset.classes), dataset.input_shape
    )
    scenario = SCENARIOS[experiment.scenario.name]
    made = scenario.make(experiment.scenario, dataset, key_for(seeds["scenario"], SCENARIO))
    dataset, split = made if scenario.manipulates else (dataset, made)
    mesh = None
    if experiment.loop.devices == "all" and jax.device_count() > 1:
        mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    reporter.say(
        f"{dataset.name} {dataset.version}: {len(split.forget):,} training examples to forget, "
        f"{len(split.retain):,} to retain"
    )
    sources = place(dataset.sources, mesh)
    return Problem(experiment, dataset, model, split, sources, seeds, mesh)


def key_for(seed: int, purpose: int) -> Key:
    """The random key of a seed for one of the purposes above."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def identities(problem: Problem) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that determines the numbers of the original network, and of the retrained one."""
    experiment = problem.experiment
    original = _original(problem)
    request = {"scenario": plain(experiment.scenario), "scenario_seed": problem.seeds["scenario"]}
    if SCENARIOS[experiment.scenario.name].manipulates:
        original |= request
    return original, original | request | {"retrain_init": experiment.retrain_init}


def _original(problem: Problem) -> dict[str, Any]:
    dataset = plain(problem.experiment.dataset)
    return {
        "format": 1,
        "dataset": {name: value for name, value in dataset.items() if name not in PLACES},
        "fingerprint": problem.dataset.fingerprint,
        "model": model_identity(problem.experiment.model),
        "train": plain(problem.experiment.train),
        "order": problem.seeds["order"],
        "initialisation": problem.seeds["initialisation"],
    }


def model_identity(config: Any) -> dict[str, Any]:
    """The section of a model, with the content of its file of weights in the place of the path."""
    section = plain(config)
    weights = section.get("weights")
    return section if weights is None else section | {"weights": file_digest(weights)}
