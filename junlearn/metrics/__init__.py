"""Metrics of an unlearned network: pure functions of logits and weights, on the host in float64.

A metric is `(Context) -> {name: value}`. It returns `{}` where a split or a reference network that
it needs is absent, never a made-up number, and a line to `Context.remark` where the reason is another one.

One module is one family of metrics. They import the contract and the errors alone: no network, no engine.
Read `outputs` first, which says what a metric gets, then `accuracy`. `README.md` beside this file
says what each metric measures, and when it misleads.
"""

from collections.abc import Callable, Iterable, Mapping

from junlearn.errors import unknown
from junlearn.metrics.accuracy import accuracy, whole_train
from junlearn.metrics.aggregate import aus, tow
from junlearn.metrics.boosted_attack import asr, asr_xgboost, check_xgboost
from junlearn.metrics.context import Context, Curve, Network, Outputs, Relearned
from junlearn.metrics.corrective import corrective
from junlearn.metrics.directions import compares
from junlearn.metrics.distance import distance
from junlearn.metrics.divergence import (
    activation_distance,
    agreement,
    divergence,
    zrf,
    zrf_released,
)
from junlearn.metrics.intervals import Interval
from junlearn.metrics.membership import mia, mia_svc
from junlearn.metrics.relearning import anamnesis, relearn, relearn_retain
from junlearn.metrics.svm_attack import mia_svm

__all__ = [
    "COSTLY",
    "DEFAULT_METRICS",
    "METRICS",
    "ON_REQUEST",
    "Context",
    "Curve",
    "Interval",
    "Metric",
    "Network",
    "Outputs",
    "Relearned",
    "check",
    "compute",
    "compute_with_intervals",
    "costly",
    "modules",
    "named",
]

Metric = Callable[[Context], dict[str, float]]

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "mia": mia,
    "mia_svc": mia_svc,
    "mia_svm": mia_svm,
    "asr": asr,
    "asr_xgboost": asr_xgboost,
    "divergence": divergence,
    "activation_distance": activation_distance,
    "agreement": agreement,
    "zrf": zrf,
    "zrf_released": zrf_released,
    "aus": aus,
    "corrective": corrective,
    "whole_train": whole_train,
    "tow": tow,
    "distance": distance,
    "relearn": relearn,
    "anamnesis": anamnesis,
    "relearn_retain": relearn_retain,
}

ON_REQUEST = (
    *("mia_svc", "mia_svm", "asr", "asr_xgboost", "zrf_released", "relearn", "anamnesis"),
    *("relearn_retain", "whole_train"),
)
"""Fitted attackers and fine-tuning take seconds to minutes where the others take milliseconds; the released ZRF is for
comparison with published numbers."""

COSTLY: dict[str, str] = {
    "train_untriggered": "whole_train",
    "train_triggered": "whole_train",
}
"""Splits that cost a pass over the training set, and the metric that they are computed for."""


def costly(metrics: Iterable[str]) -> list[str]:
    """The costly splits that the named metrics ask for."""
    wanted = set(metrics)
    return [split for split, metric in COSTLY.items() if metric in wanted]


def check(metrics: Iterable[str]) -> None:
    """Raises ConfigError for a metric that needs a package which is not installed."""
    if "asr_xgboost" in metrics:
        check_xgboost()


def modules(metrics: Mapping[str, Metric]) -> list[str]:
    """The modules whose code gives the values of the metrics."""
    return sorted({metric.__module__ for metric in metrics.values()})


def named(metrics: Iterable[str]) -> dict[str, Metric]:
    """The package's own metrics of these names. Raises ConfigError for a name that there is not."""
    wanted = list(metrics)
    for name in wanted:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    return {name: METRICS[name] for name in wanted}


DEFAULT_METRICS: tuple[str, ...] = tuple(name for name in METRICS if name not in ON_REQUEST)
"""What is computed unless metrics are named."""


def compute(
    context: Context, metrics: Iterable[str] | Mapping[str, Metric] = DEFAULT_METRICS
) -> dict[str, float]:
    """The values of all metrics in one dict; `metrics` are names in METRICS, or functions by name.

    Of a metric that is there on request alone and has no value, `context.remark` is told the name and the reason.
    Raises ConfigError for a name that METRICS has not.
    """
    values: dict[str, float] = {}
    for name, metric in (metrics if isinstance(metrics, Mapping) else named(metrics)).items():
        remarks: list[str] = []
        found = metric(context._replace(remark=remarks.append))
        if not found and not remarks and name in ON_REQUEST:
            remarks.append(f"{name} is left out: a split or a network that it needs is not there")
        for remark in remarks:
            context.remark(remark)
        values |= found
    return values


def compute_with_intervals(
    context: Context, metrics: Iterable[str] | Mapping[str, Metric] = DEFAULT_METRICS
) -> tuple[dict[str, float], dict[str, Interval]]:
    """What `compute` gives, bit for bit, and of the values that are statistics of examples their 95 % intervals.

    No network is asked again. Values without examples behind them (distances of weights, steps of training) and those
    of a metric that says nothing to `context.interval` have none. Nor has what compares the retrained network with
    itself: it differs by nothing, on whatever examples.
    """
    asked: dict[str, Callable[[], Interval | None]] = {}
    values = compute(context._replace(interval=asked.__setitem__), metrics)
    itself = context.retrain is not None and context.model is context.retrain
    known = [name for name in asked if name in values and not (itself and compares(name))]
    found = {name: asked[name]() for name in known}
    return values, {name: interval for name, interval in found.items() if interval is not None}
