"""What the fields of an experiment say of each other, beyond what each of them can hold."""

from collections.abc import Collection
from typing import Any

from junlearn import metrics
from junlearn.errors import ConfigError
from junlearn.experiment import auditing, original_file, references, searching
from junlearn.logs import choices
from junlearn.plugins import registry

__all__ = ["check"]


def check(experiment: Any, extras: Collection[str]) -> None:
    """Raises ConfigError where they do not agree; `extras` are the optional sections that it has."""
    if not experiment.metrics:
        raise ConfigError("metrics: a list of at least one metric is needed")
    registry.metrics_of(experiment.metrics)
    metrics.check(experiment.metrics)
    original_file.check(experiment)
    references.check(experiment.references, experiment.reference)
    choices.check(experiment.loop.log)
    if "audit" in extras:
        auditing.check(experiment.audit)
    if "search" in extras:
        searching.check(experiment)
    if experiment.loop.distributed and experiment.loop.devices == "one":
        raise ConfigError(
            'loop.distributed: several processes share every batch, which needs loop.devices = "all"'
        )
