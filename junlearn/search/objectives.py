"""What a search optimises, and what it reads for it.

Each objective is a number of the records of one experiment. But for "oracle" that experiment has no test set: a part of
its training set is held out in the place of it (`junlearn.datasets.holdout.hold_out`), so that what metrics call "test"
is held-out data.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from junlearn.errors import ConfigError
from junlearn.experiment import ruling
from junlearn.experiment.foresight import Foreseen
from junlearn.experiment.searching import GAP, HELD_OUT, ORACLE, Searching
from junlearn.metrics.directions import Direction, value_of

__all__ = ["ATTACK", "SHARE", "Objective", "check", "gap", "objective_of", "share_of", "unseen"]

SHARE = 0.1
"""Of the training set, held out in the trials where nothing else is said."""
ATTACK = "mia/confidence_auc"
"""The attack: how well the forgotten examples are told from unseen ones of the same classes. The shares of the fitted
attacks jump between 0 and 1 from network to network; an area does not."""
PARTS = {
    "forget": "accuracy/forget_train",
    "retain": "accuracy/retain_train",
    "validation": "accuracy/test",
    "attack": ATTACK,
}
"""Of the gap; "test" is the data that are held out, or with the oracle the test set."""
Values = Mapping[str, float]


class Objective(NamedTuple):
    """A number of the records of an experiment, and which way is better."""

    name: str
    better: Direction
    meaning: str
    """What it is, in words."""
    reads: str
    """The data that it reads beside the training set, in words."""
    reference: bool
    """Whether it needs the retrained network."""
    metrics: tuple[str, ...]
    """That the experiment computes."""
    parts: Callable[[Values, Values | None], dict[str, float]]
    """From the metrics of the unlearned and of the retrained network to what the value is the mean of."""
    oracle: bool = False
    """It reads the real test set."""


def share_of(experiment: Any) -> float:
    """The share of the training set that the trials of an experiment hold out; 0 with the oracle."""
    searching: Searching = experiment.search
    if searching.objective == ORACLE:
        return 0.0
    return searching.held_out or experiment.held_out or SHARE


def objective_of(experiment: Any, classes: Sequence[int] | None = None) -> Objective:
    """The objective of an experiment. `classes`: those that are forgotten whole, once the data have been read.

    Raises ConfigError for one that does not exist or does not fit.
    """
    searching: Searching = experiment.search
    name = searching.objective
    share = share_of(experiment)
    reads = f"{100 * share:g} % of the training set, held out in the place of the test set"
    if name == ORACLE:
        if experiment.held_out or searching.held_out:
            raise ConfigError(
                'search.objective "oracle" reads the real test set, which held_out leaves out: remove one of them'
            )
        reads = "the REAL TEST SET"
    if name in (GAP, ORACLE):
        what = "test" if name == ORACLE else "validation"
        meaning = (
            "mean absolute difference to the network retrained on the same split, of forget, retain and "
            f"{what} accuracy and the attack"
        )
        return Objective(
            *(name, "min", meaning, reads, True, ("accuracy", "mia"), gap, name == ORACLE)
        )
    if name == HELD_OUT:
        whole = bool(classes)
        forgetting = (
            "accuracy on the forgotten classes, seen and unseen,"
            if whole
            else "difference of the accuracies on forgotten and on unseen examples,"
        )
        meaning = f"mean of error on held-out retain data, {forgetting} and advantage of the attack"

        def found(own: Values, reference: Values | None) -> dict[str, float]:
            return unseen(own, whole)

        return Objective(name, "min", meaning, reads, False, ("accuracy", "mia"), found)
    rule = ruling.rule_of(name, "search.objective")
    value = value_of(rule.name)
    assert value is not None
    more = "the larger, the better" if rule.better == "max" else "the smaller, the better"
    if rule.name == "accuracy/validation" or "validation" in value.needs:
        reads = f"{reads}, and validation data"
    return Objective(
        name,
        rule.better,
        more if rule.name == name.partition(":")[0] else f"{rule.name}, {more}",
        reads,
        "reference" in value.needs,
        tuple(dict.fromkeys(["accuracy", value.metric])),
        lambda own, reference: {rule.name: _of(own, rule.name)},
    )


def check(experiment: Any, trials: Sequence[tuple[Any, Foreseen]]) -> None:
    """Raise ConfigError where the records of trials, whose data have been read, will not have what is optimised."""
    name = experiment.search.objective
    for trial, foreseen in trials:
        if name in (GAP, ORACLE):
            continue
        if name != HELD_OUT:
            ruling.check_rule(name, trial, foreseen.splits, "search.objective")
        elif {"forget_train_clean", "manipulated_train"} & foreseen.splits:
            raise ConfigError(
                f'search.objective "held_out" compares with unseen examples of the same kind, and scenario '
                f'{trial.scenario.name!r} has wrong labels or a trigger: take "validation_gap" or "developer"'
            )


def gap(own: Values, reference: Values | None) -> dict[str, float]:
    """|value of the unlearned network - value of the retrained one|, of each of PARTS."""
    assert reference is not None
    return {part: abs(_of(own, name) - _of(reference, name)) for part, name in PARTS.items()}


def unseen(own: Values, whole: bool) -> dict[str, float]:
    """What can be said without a retrained network; each is at least 0, and the less the better.

    retain: 1 - accuracy on held-out examples of what is kept. forget: of classes that are forgotten `whole` the mean
    accuracy on the forgotten and on held-out examples of them, where there are any; else the absolute difference of the
    accuracies on the forgotten and on unseen examples, of the same kind where the scenario knows it (`forget_test`).
    attack: |2 area - 1|, 0 where the forgotten are not told from unseen examples of the same kind.
    """
    forgotten, alike = _of(own, "accuracy/forget_train"), own.get("accuracy/forget_test")
    if whole:
        forget = forgotten if alike is None else (forgotten + alike) / 2
    else:
        forget = abs(forgotten - (_of(own, "accuracy/test") if alike is None else alike))
    return {
        "retain": 1 - _of(own, "accuracy/retain_test"),
        "forget": forget,
        "attack": abs(2 * _of(own, ATTACK) - 1),
    }


def _of(values: Values, name: str) -> float:
    """A metric. Raises ConfigError where it is not there: it was not finite, or a split was empty."""
    if name not in values:
        raise ConfigError(f"the record has no finite {name}")
    return values[name]
