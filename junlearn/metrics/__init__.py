"""Metrics of an unlearned network: pure functions of logits, on the host in float64.

A metric is `(Context) -> {name: value}`. It returns `{}` where a split or a reference network that
it needs is absent, never a made-up number.
"""

from collections.abc import Callable, Iterable

from junlearn.errors import unknown
from junlearn.metrics.accuracy import accuracy
from junlearn.metrics.aggregate import aus, tow
from junlearn.metrics.divergence import activation_distance, agreement, divergence, zrf
from junlearn.metrics.membership import mia, mia_svc
from junlearn.metrics.outputs import Context, Outputs

__all__ = ["DEFAULT_METRICS", "METRICS", "Context", "Metric", "Outputs", "compute"]

Metric = Callable[[Context], dict[str, float]]

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "mia": mia,
    "mia_svc": mia_svc,
    "divergence": divergence,
    "activation_distance": activation_distance,
    "agreement": agreement,
    "zrf": zrf,
    "aus": aus,
    "tow": tow,
}

DEFAULT_METRICS: tuple[str, ...] = tuple(name for name in METRICS if name != "mia_svc")
"""All but the support vector machine: tens of seconds where the others take milliseconds."""


def compute(context: Context, metrics: Iterable[str] = DEFAULT_METRICS) -> dict[str, float]:
    """The values of the named metrics in one dict; an unknown name is a `ConfigError`."""
    values: dict[str, float] = {}
    for name in metrics:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
        values |= METRICS[name](context)
    return values
