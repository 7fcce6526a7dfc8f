"""When a ledger retrains: after so many requests, or when the network has drifted too far from the last exact one.

An exact network never saw what was deleted: the original before the first request, a retrained one, and every network
of an exact method. A decision is a pure function of the lines of a ledger.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from junlearn.errors import ConfigError

__all__ = ["DISTANCE", "Decision", "Policy", "decide", "policy_of"]

DISTANCE = "distance"
"""Drift by the L2 distance of all weights to those of the last exact network."""
DECREASE = "accuracy/"
"""Metrics that drift downwards alone: a gain is none."""


class Policy(NamedTuple):
    """What uses up the allowance of a ledger; both may be None."""

    every: int | None = None
    """Retrain after so many requests."""
    metric: str | None = None
    """Retrain when this metric, or "distance", is farther than `bound` from the last exact network."""
    bound: float | None = None

    def __bool__(self) -> bool:
        return self.every is not None or self.metric is not None


class Decision(NamedTuple):
    """What a policy says after a request."""

    retrain: bool
    because: str


def policy_of(every: int | None, drift: str | None) -> Policy:
    """The policy of the options `--retrain-every K` and `--drift METRIC:BOUND`. Raises ConfigError."""
    if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise ConfigError(f"--retrain-every: a whole number from 1 is needed, got {every!r}")
    if drift is None:
        return Policy(every)
    metric, colon, text = drift.rpartition(":")
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if not colon or not metric or not (bound >= 0 and math.isfinite(bound)):
        raise ConfigError(
            f"--drift: a metric and a bound are needed, such as accuracy/retain_train:0.01 or {DISTANCE}:2.5, "
            f"got {drift!r}"
        )
    return Policy(every, metric, bound)


def decide(
    policy: Policy, since: int, now: Mapping[str, Any], exact: Mapping[str, Any]
) -> Decision:
    """Whether to retrain, `since` requests after the last exact network; `now` and `exact` are metrics of the two."""
    if since == 0:
        return Decision(False, "the network is exact")
    if policy.every is not None and since >= policy.every:
        return Decision(
            True, f"{since} requests since the last exact network, {policy.every} are allowed"
        )
    if policy.metric is None or policy.bound is None:
        return Decision(False, f"{since} of {policy.every} requests since the last exact network")
    drifted = _drift(policy.metric, now, exact)
    if drifted is None:
        return Decision(
            True,
            f"{policy.metric} is not known, and an allowance that cannot be measured is used up",
        )
    said = f"{policy.metric} drifted by {drifted:.6g}, {policy.bound:g} is allowed"
    return Decision(drifted > policy.bound, said)


def _drift(metric: str, now: Mapping[str, Any], exact: Mapping[str, Any]) -> float | None:
    if metric == DISTANCE:
        return now.get(DISTANCE)
    if metric not in now or metric not in exact:
        return None
    fall = float(exact[metric]) - float(now[metric])
    return max(fall, 0.0) if metric.startswith(DECREASE) else abs(fall)
