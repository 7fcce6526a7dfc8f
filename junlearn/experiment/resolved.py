"""The type of an experiment: what all the classes have in common that `schema.parse` makes for configurations."""

from typing import Any, Literal, Protocol

from junlearn.engine.precision import MatmulPrecision, Precision
from junlearn.experiment.schema import Loop, Seeds
from junlearn.methods import retrain

__all__ = ["NamedConfig", "Resolved", "method_of", "surrogate_of"]


class NamedConfig(Protocol):
    """The `Config` of a component, with the name that it is found by."""

    name: str


class Resolved(Protocol):
    """An experiment with all defaults filled in: the fields of `schema.Experiment`, and its sections.

    An instance is frozen. `method_of` and `surrogate_of` give the sections that not every experiment has.
    """

    dataset: NamedConfig
    model: NamedConfig
    scenario: NamedConfig
    methods: tuple[str, ...]
    seed: int
    seeds: Seeds
    held_out: float
    validation: float
    train: retrain.Config
    retrain_init: Literal["other", "same"]
    precision: Precision
    matmul_precision: MatmulPrecision
    original: str
    reference: bool
    references: int
    metrics: tuple[str, ...]
    train_view: Literal["eval", "augment"]
    sample: int | None
    loop: Loop


def method_of(experiment: Resolved, label: str) -> NamedConfig:
    """The section of the method with this label, one of `experiment.methods`."""
    sections: Any = experiment
    return getattr(sections.method, label)


def surrogate_of(experiment: Resolved) -> NamedConfig | None:
    """The section of the images that take the place of the training set, where the experiment has one."""
    return getattr(experiment, "surrogate", None)
