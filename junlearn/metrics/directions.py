"""Which names metrics give their values, which way is better, and what a value needs of the experiment."""

import re
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

__all__ = ["Direction", "Value", "compares", "missing", "value_of"]

Direction = Literal["min", "max"]


class Value(NamedTuple):
    """What is known of the values whose names match `pattern`."""

    pattern: str
    metric: str
    """The entry of METRICS that computes them."""
    better: Direction | None = None
    """None: the ideal is what the retrained network has, which may be more or less."""
    needs: tuple[str, ...] = ()
    """Of "reference", "validation" and "manipulation", fields and scenarios of the experiment."""


REFERENCE, MANIPULATION = ("reference",), ("manipulation",)

VALUES = (
    Value("accuracy/validation", "accuracy", "max", ("validation",)),
    Value("accuracy/(retain_train|retain_test|test)", "accuracy", "max"),
    Value("accuracy/(forget|manipulated|unidentified)_train_clean", "accuracy", "max"),
    Value("accuracy/train_(un)?triggered", "whole_train", "max", MANIPULATION),
    Value("accuracy/(forget_train|forget_test)", "accuracy"),
    Value("accuracy/(manipulated|unidentified)_train", "accuracy", None, MANIPULATION),
    Value("accuracy/(manipulated_untriggered|test_triggered)", "accuracy", None, MANIPULATION),
    Value("entropy/(retain_train|forget_train|test)", "mia"),
    Value("mia/(entropy|confidence)(_balanced_accuracy|_auc|_retain_auc)?", "mia"),
    Value("mia_svc/confidence_(non_)?member", "mia_svc"),
    Value(
        "mia_svm/(compat_)?((balanced_|forgotten_|unseen_)?accuracy|mutual_information|chance)(_std)?",
        "mia_svm",
    ),
    Value("asr/(laf|camu)(_balanced|_train)?", "asr"),
    Value("asr_xgboost/(laf|camu)(_balanced|_train)?", "asr_xgboost"),
    Value("js/(forget_train|test)", "divergence", "min", REFERENCE),
    Value("activation_distance/forget_train", "activation_distance", "min", REFERENCE),
    Value("agreement/(forget_train|test)", "agreement", "max", REFERENCE),
    Value("zrf/(forget_train|test)", "zrf", "max"),
    Value("zrf_released/(forget_train|test)", "zrf_released", "max"),
    Value("aus", "aus", "max"),
    Value("tow", "tow", "max", REFERENCE),
    Value("corrective/developer", "corrective", "max", (*MANIPULATION, "validation")),
    Value(
        "corrective/(corrected|retained|corrected_others|oracle)", "corrective", "max", MANIPULATION
    ),
    Value("corrective/attack_success", "corrective", "min", MANIPULATION),
    Value("distance(_mean)?/retrain/.+", "distance", "min", REFERENCE),
    Value("distance(_mean)?/original/.+", "distance"),
    Value("relearn/(steps|epochs|reached)", "relearn"),
    Value("anamnesis(/reached)?", "anamnesis", None, REFERENCE),
    Value("relearn_retain/gap(/[0-9]+)?", "relearn_retain"),
    Value(
        "relearn_retain/(retain_train|forget_train|test|retain_test|forget_test)/[0-9]+",
        "relearn_retain",
    ),
)


def value_of(name: str) -> Value | None:
    """What is known of the value `name`; None where no metric gives one of that name."""
    return next((value for value in VALUES if re.fullmatch(value.pattern, name)), None)


def compares(name: str) -> bool:
    """Whether the value `name` compares a network with the retrained one."""
    value = value_of(name)
    return value is not None and "reference" in value.needs


def missing(
    name: str, value: Value, experiment: Any, manipulates: bool, splits: Collection[str] | None
) -> str | None:
    """What an experiment lacks to compute the value `name`, with the remedy; None where nothing is.

    `manipulates`: the scenario has a known and an unknown part of a manipulation. `splits` are the names of the splits
    that are not empty, None where the data have not been read.
    """
    if value.metric not in experiment.metrics:
        return f"the metric {value.metric!r} is not asked for: add it to metrics"
    if "reference" in value.needs and not experiment.reference:
        return "it compares with the retrained network: set reference = true"
    if "manipulation" in value.needs and not manipulates:
        return (
            f"the scenario {experiment.scenario.name!r} manipulates nothing: it is there for poisoning, "
            "interclass_confusion and random_swap; --select aus or --select tow may serve here"
        )
    if "validation" in value.needs and not experiment.validation:
        return "it needs validation data: set validation = 0.1, say"
    if splits is None:
        return None
    family, _, split = name.partition("/")
    if family == "accuracy" and split not in splits:
        return f"there are no examples of {split!r} in this experiment"
    if name in TRIGGERED and "test_triggered" not in splits:
        return "there is no trigger in this experiment"
    if name == "corrective/retained" and not {"retain_test", "test_triggered"} & set(splits):
        return "random swaps leave no part of the test set aside"
    return None


TRIGGERED = ("corrective/attack_success", "corrective/corrected_others")
"""Values that only a backdoor has."""
