"""By which number a sweep chooses a method's setting: `oracle`, `developer`, or any metric and which way is better."""

from collections.abc import Collection
from typing import NamedTuple

from junlearn.errors import ConfigError, unknown
from junlearn.experiment.resolved import Resolved
from junlearn.experiment.schema import thing_of
from junlearn.metrics.directions import Direction, missing, value_of

__all__ = ["Rule", "check_rule", "rule_of"]

SHORT = {"oracle": "corrective/oracle", "developer": "corrective/developer"}
"""With the test set, or with what whoever repairs the network has."""
EXAMPLES = ("accuracy/retain_test", "accuracy/test", "aus", "tow", "js/forget_train")


class Rule(NamedTuple):
    """The setting with the largest, or the smallest, mean of a value of its records is the best."""

    name: str
    """Of the value in the records' metrics."""
    better: Direction


def rule_of(text: str, option: str = "--select") -> Rule:
    """The rule of `oracle`, `developer`, `METRIC`, `METRIC:min` or `METRIC:max`.

    Raises ConfigError, which names the `option`, for a value that no metric gives, and for one that has no direction
    and is given none.
    """
    name, colon, way = text.partition(":")
    name = SHORT.get(name, name)
    value = value_of(name)
    if value is None:
        raise unknown("rule of selection", text, [*SHORT, *EXAMPLES])
    if colon:
        if way == "min":
            return Rule(name, "min")
        if way == "max":
            return Rule(name, "max")
        raise ConfigError(f"{option} {text}: expected {name}:min or {name}:max")
    if value.better is None:
        raise ConfigError(
            f"{option} {text}: neither more nor less of it is better in itself (the ideal is the retrained network's "
            f"value); say which: {name}:min or {name}:max"
        )
    return Rule(name, value.better)


def check_rule(
    text: str,
    experiment: Resolved,
    splits: Collection[str] | None = None,
    option: str = "--select",
) -> None:
    """Raise ConfigError, with the remedy, where an experiment's records will not have what a rule asks for."""
    rule = rule_of(text, option)
    value = value_of(rule.name)
    assert value is not None
    manipulates = bool(thing_of(experiment.scenario).request)
    lack = missing(rule.name, value, experiment, manipulates, splits)
    if lack is not None:
        raise ConfigError(f"{option} {text}: nothing to choose by, {lack}")
