"""When a ledger retrains."""

import pytest

from junlearn.errors import ConfigError
from junlearn.ledger.policy import Policy, decide, policy_of

EXACT = {"accuracy/retain_train": 0.98, "mia/entropy": 0.5}


def test_no_options_are_no_policy():
    assert not policy_of(None, None)
    assert policy_of(3, None) == Policy(3)
    assert policy_of(None, "a:b:0.5") == Policy(None, "a:b", 0.5)


@pytest.mark.parametrize("drift", ["accuracy", "accuracy:", ":1", "a:x", "a:-1", "a:nan", "a:inf"])
def test_a_drift_without_a_bound_is_refused(drift):
    with pytest.raises(ConfigError, match="--drift: a metric and a bound are needed"):
        policy_of(None, drift)


@pytest.mark.parametrize("every", [0, -1])
def test_so_is_a_number_below_one(every):
    with pytest.raises(ConfigError, match="--retrain-every"):
        policy_of(every, None)


@pytest.mark.parametrize(("since", "retrain"), [(0, False), (1, False), (2, True), (5, True)])
def test_after_so_many_requests(since, retrain):
    assert decide(Policy(2), since, {}, EXACT).retrain is retrain


@pytest.mark.parametrize(
    ("metric", "value", "retrain"),
    [
        ("accuracy/retain_train", 0.975, False),
        ("accuracy/retain_train", 0.96, True),
        ("accuracy/retain_train", 1.0, False),
        ("mia/entropy", 0.505, False),
        ("mia/entropy", 0.45, True),
        ("mia/entropy", 0.55, True),
        ("distance", 0.01, False),
        ("distance", 0.02, True),
    ],
)
def test_when_the_allowance_is_used_up(metric, value, retrain):
    """Accuracies may rise; other metrics may go no way."""
    policy = policy_of(None, f"{metric}:0.01")
    found = decide(policy, 1, {metric: value}, EXACT)
    assert found.retrain is retrain and metric in found.because
    assert not decide(policy, 0, {metric: value}, EXACT).retrain


@pytest.mark.parametrize("metric", ["distance", "accuracy/test", "mia/entropy"])
def test_what_cannot_be_measured_is_used_up(metric):
    assert decide(policy_of(9, f"{metric}:1"), 1, {}, EXACT).retrain
