"""What `runs.py` measures: a network that is to forget a digit, and the images that it needs, on the device."""

from dataclasses import dataclass

import jax

from junlearn.datasets import DATASETS
from junlearn.datasets.surrogate import SURROGATES, attach
from junlearn.scenarios import SCENARIOS
from junlearn.types import Data, Dataset, Key, Split

__all__ = [
    "METHOD",
    "ORIGINAL",
    "RANDOM",
    "REFERENCE",
    "Job",
    "random_key",
    "read",
    "with_surrogates",
    "with_validation",
]

ORIGINAL, REFERENCE, REQUEST, METHOD, RANDOM = range(5)
"""Purposes of random keys."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is measured."""

    dataset: str = "mnist"
    surrogate: str = "fashion_mnist"
    examples: int = 6_000
    """Of the training set, the first ones, and at most as many of the test set."""
    epochs: int = 2
    model: str = "laf_cnn"
    seed: int = 0


def random_key(job: Job, purpose: int) -> Key:
    """Of the job, for one of the purposes above."""
    return jax.random.fold_in(jax.random.key(job.seed), purpose)


def read(job: Job) -> tuple[Dataset, Split]:
    """The images that the job is about, on the device, and which of them are forgotten."""
    component = DATASETS[job.dataset]
    dataset = _first(component.make(component.Config()), job.examples)
    scenario = SCENARIOS["class"]
    split = scenario.make(scenario.Config(), dataset, random_key(job, REQUEST))
    sources = jax.block_until_ready(jax.device_put(dataset.sources))
    return dataset._replace(sources=sources), split


def with_surrogates(job: Job, dataset: Dataset) -> Dataset:
    """`dataset` with as many surrogate images, on the device."""
    component = SURROGATES[job.surrogate]
    unrelated = component.make(component.Config(), input_shape=dataset.input_shape)
    dataset = attach(dataset, _first(unrelated, job.examples))
    surrogate = jax.block_until_ready(jax.device_put(dataset.sources["surrogate"]))
    return dataset._replace(sources={**dataset.sources, "surrogate": surrogate})


def with_validation(job: Job, dataset: Dataset) -> Dataset:
    """`dataset` with a tenth as many unseen images: of the training set those after the ones that the job takes."""
    component = DATASETS[job.dataset]
    whole = component.make(component.Config()).sources["train"]
    unseen = whole.take(slice(job.examples, job.examples + max(job.examples // 10, 1)))
    validation = jax.block_until_ready(jax.device_put(unseen))
    return dataset._replace(sources={**dataset.sources, "validation": validation})


def _first(dataset: Dataset, count: int) -> Dataset:
    def cut(data: Data) -> Data:
        return data.take(slice(count))

    return dataset._replace(sources={name: cut(data) for name, data in dataset.sources.items()})
