"""What an audit refuses, each in one line that says why, before anything is trained."""

import pytest

from junlearn.audit.conduct import section_of
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import Auditing, check
from junlearn.experiment.conversion import convert
from junlearn.types import Split
from tests.audit.small import SPLIT, audited

SETTINGS = {
    "too few": (
        {"models": 6},
        r"audit: 6 networks a side; the tests need at least 8 \(a permutation of 8 \+ 8 has 12,870 outcomes\)",
    ),
    "too few twins": (
        {"twins": 3},
        "audit: 3 networks a side; .*audit.twins = 0 does without a second ensemble",
    ),
    "klom of few": (
        {"models": 12, "metrics": ["klom"]},
        "audit: klom needs at least 16 networks a side: a perfect unlearner scores 6.4 of 11.5 at 8",
    ),
    "quality of few": (
        {"models": 8, "metrics": ["energy", "forgetting_quality"]},
        "audit: forgetting_quality needs at least 16 networks a side",
    ),
    "one original": (
        {"originals": "one"},
        '32 unlearned networks come from 1 original; give 32 originals, or compat="one_original"',
    ),
    "pairs": (
        {"pairing": "matched", "metrics": ["tow", "energy"]},
        r'audit: networks are paired by seed; laws can be compared only with pairing="decoupled" \(paired: tow',
    ),
    "of the other design": ({"metrics": ["ulira"]}, 'audit: ulira needs audit.design = "random"'),
    "of this design": (
        {"design": "random", "metrics": ["klom"]},
        'audit: klom needs audit.design = "request"; design "random" has lira',
    ),
    "few runs in a fit": (
        {"design": "random", "models": 8, "folds": 2, "forget_sets": 2},
        r"audit: ulira: an example has 2 unlearned runs in a fit; give more runs .*fewer folds",
    ),
    "folds that halve a block": (
        {"design": "random", "models": 24, "folds": 4},
        "48 runs .* do not make 4 folds of whole blocks of 8 runs; audit.models can be any multiple of 16",
    ),
    "few targets": (
        {"design": "random", "targets": 15},
        "audit: 15 targets for 2 forget sets; at least 8 a set are needed",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_no_audit_can_be_made_with(name):
    fields, message = SETTINGS[name]
    with pytest.raises(ConfigError, match=message) as caught:
        check(convert(Auditing, fields, "audit"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ["enrgy"]}, "energy"),
        ({"metric": ["energy"]}, "metrics"),
        ({"permutations": 98}, "permutations.*99"),
        ({"folds": 1}, "folds.*2"),
        ({"fpr": [0.0]}, "fpr"),
        ({"level": 1}, "level"),
        ({"design": "requests"}, "request"),
        ({"compat": ["easydb"]}, "easydub"),
        ({"models": 8.5}, "models"),
    ],
)
def test_a_mistake_names_what_it_may_have_meant(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        convert(Auditing, fields, "audit")
    assert "\n" not in str(caught.value) and "audit" in str(caught.value)


def test_what_cannot_be_asked_without_names_is_left_out_by_itself():
    from junlearn.experiment.auditing import families

    assert "klom" not in families(Auditing(models=8)) and "klom" in families(Auditing())
    assert families(Auditing(pairing="matched")) == ("tow",)
    assert section_of(object()) == Auditing()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": 6}, "6 networks a side"),
        ({"metrics": ("enrgy",)}, "energy"),
        ({"epoch": 2}, "epoch"),
        ({"methods": {"a": {"method": "fintune"}}}, "finetune"),
        ({"methods": {"a": {"method": "finetune", "epoch": 1}}}, "epochs"),
        ({"methods": {"twin": {"method": "finetune"}}}, "'twin', .*name of another ensemble"),
        ({"split": Split(SPLIT.forget[:0], *SPLIT[1:])}, "forget"),
    ],
)
def test_a_mistake_in_python_leaves_nothing_behind(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        audited(tmp_path, **changes)
    assert not list(tmp_path.iterdir())
