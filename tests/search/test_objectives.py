"""What a search optimises, by hand, and that it never reads the test set unless that is asked for."""

import pytest

from junlearn.errors import ConfigError
from junlearn.experiment import setup
from junlearn.experiment.provenance import Renewal
from junlearn.search.objectives import gap, objective_of, share_of, unseen
from junlearn.search.question import question_of
from junlearn.search.trials import TrialFailed, judge
from tests.search.small_search import Said, table

OWN = {
    "accuracy/forget_train": 0.3,
    "accuracy/retain_train": 0.9,
    "accuracy/test": 0.8,
    "accuracy/retain_test": 0.85,
    "accuracy/forget_test": 0.1,
    "mia/confidence_auc": 0.6,
}
RETRAINED = {
    "accuracy/forget_train": 0.0,
    "accuracy/retain_train": 0.95,
    "accuracy/test": 0.9,
    "mia/confidence_auc": 0.5,
}


def experiment(**search):
    return question_of(table(**search)).experiment


def test_the_gap_is_the_mean_of_four_absolute_differences():
    parts = gap(OWN, RETRAINED)
    assert parts == pytest.approx({"forget": 0.3, "retain": 0.05, "validation": 0.1, "attack": 0.1})


@pytest.mark.parametrize(
    ("whole", "left_out", "forget"),
    [
        (True, (), 0.2),  # (0.3 + 0.1) / 2: both are to be low
        (True, ("accuracy/forget_test",), 0.3),
        (False, (), 0.2),  # |0.3 - 0.1|: both are to be alike
        (False, ("accuracy/forget_test",), 0.5),  # |0.3 - 0.8|: unseen examples of any class
    ],
)
def test_without_a_retrained_network(whole, left_out, forget):
    values = {name: value for name, value in OWN.items() if name not in left_out}
    assert unseen(values, whole) == pytest.approx({"retain": 0.15, "forget": forget, "attack": 0.2})


def test_a_metric_has_the_direction_that_is_known_or_given():
    assert objective_of(experiment(objective="aus")).better == "max"
    found = objective_of(experiment(objective="accuracy/forget_train:min"))
    assert (found.better, found.reference, found.metrics) == ("min", False, ("accuracy",))
    assert found.parts(OWN, None) == {"accuracy/forget_train": 0.3}
    assert objective_of(experiment(objective="js/forget_train")).reference


def test_the_share_that_is_held_out():
    assert share_of(experiment()) == 0.1
    assert share_of(experiment(held_out=0.3)) == 0.3
    assert share_of(question_of(table() | {"held_out": 0.2}).experiment) == 0.2
    assert share_of(experiment(objective="oracle")) == 0


def test_the_oracle_says_so():
    found = objective_of(experiment(objective="oracle"))
    assert found.oracle and "REAL TEST SET" in found.reads
    assert "REAL" not in objective_of(experiment()).reads
    with pytest.raises(ConfigError, match="real test set, which held_out leaves out"):
        question_of(table(objective="oracle") | {"held_out": 0.2})


@pytest.fixture
def other_test_set(monkeypatch):
    """A switch: datasets have a test set of dark images and wrong labels, before anything else sees them."""
    real, on = setup.thing_of, []

    def thing_of(section):
        thing = real(section)
        if not on or section.name != "digits":
            return thing

        def make(*arguments, **options):
            made = thing.make(*arguments, **options)
            test = made.sources["test"]
            wrong = test._replace(x=0 * test.x, y=(test.y + 1) % 10)
            return made._replace(sources={**made.sources, "test": wrong})

        return thing._replace(make=make)

    monkeypatch.setattr(setup, "thing_of", thing_of)
    return on


def values(tmp_path, objective, switch):
    """The value of one setting with the test set as it is, and with another."""
    question = question_of(table(objective=objective))
    trial = question.trial({"finetune": {"learning_rate": 0.1}}, 0)
    found = []
    for number in range(2):
        place = (tmp_path / f"{objective}{number}", str(tmp_path / "cache"))
        arguments = (trial, "finetune", question.objective, place, Said.quiet())
        found.append(judge(*arguments, Renewal("nothing")))
        switch.append("on")
    switch.clear()
    return found


def test_the_test_set_is_read_by_the_oracle_alone(tmp_path, other_test_set):
    before, after = values(tmp_path, "validation_gap", other_test_set)
    assert before == after and before.value > 0
    before, after = values(tmp_path, "held_out", other_test_set)
    assert before == after
    assert not (tmp_path / "held_out0" / "checkpoints").exists()
    before, after = values(tmp_path, "oracle", other_test_set)
    assert before.parts["validation"] != after.parts["validation"]
    assert before.parts["retain"] == after.parts["retain"]


def test_a_method_that_fails_is_a_failed_trial(tmp_path):
    question = question_of(table(objective="held_out"))
    trial = question.trial({"finetune": {"learning_rate": 1e30}}, 0)
    place = (tmp_path / "run", str(tmp_path / "cache"))
    with pytest.raises(TrialFailed, match=r"nan|infinite"):
        judge(trial, "finetune", question.objective, place, Said.quiet(), Renewal("nothing"))


def test_a_record_without_the_value_is_a_failed_trial():
    with pytest.raises(ConfigError, match="no finite accuracy/test"):
        gap({k: v for k, v in OWN.items() if k != "accuracy/test"}, RETRAINED)
