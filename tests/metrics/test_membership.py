"""Membership attacks: the exact optimum, reference numbers, and what each score reports."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from junlearn.errors import ConfigError
from junlearn.metrics import METRICS, Context, Outputs
from junlearn.metrics.logistic import fit_attack
from junlearn.metrics.membership import (
    FEATURES,
    area_under_curve,
    balanced_accuracy,
    mia_svc,
    svc_members,
)
from tests.conftest import GOLDEN


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "jit_ssd" / "metrics.npz") as file:
        return dict(file)


def gradient(member, unseen, u, c, penalty=0.25):
    """Gradient of the attack's objective, divided by the number of examples."""
    h = np.concatenate([member, unseen])
    t = np.repeat([1.0, 0.0], [len(member), len(unseen)])
    w = np.where(t == 1, len(h) / (2 * len(member)), len(h) / (2 * len(unseen)))
    residual = w * (0.5 + 0.5 * np.tanh((u * h + c) / 2) - t)
    return np.array([residual @ h + 2 * penalty * u, residual.sum()]) / len(h)


def binary_logits(margins):
    """Two-class logits [N,2] with label 0's logit-scaled confidence equal to `margins`."""
    return np.stack([margins, np.zeros_like(margins)], axis=1)


def binary_context(**margins):
    margins = {split: np.asarray(values, np.float64) for split, values in margins.items()}
    return Context(
        Outputs({split: binary_logits(values) for split, values in margins.items()}),
        {split: np.zeros(len(values), int) for split, values in margins.items()},
    )


# --- the exact logistic attack ---


@pytest.mark.parity
@pytest.mark.parametrize(("name", "penalty"), [("exact", 0.25), ("binary", 0.5)])
def test_golden_attack(golden, name, penalty):
    member, unseen = golden["entropy_retain"], golden["entropy_test"]
    attack = fit_attack(member, unseen, penalty)
    reference = float(golden[f"mia_u_{name}"]), float(golden[f"mia_c_{name}"])
    np.testing.assert_allclose(attack, reference, rtol=0, atol=1e-7)
    # The file's optimum is converged to some 1e-8 itself; the fit stops within about 1e-12 of it in (u, c).
    assert np.abs(gradient(member, unseen, *attack, penalty)).max() < 1e-12
    share = attack.calls_member(golden["entropy_forget"]).mean()
    assert share == golden["mia" if name == "exact" else "mia_binary"]


@pytest.mark.parity
def test_golden_member_probabilities(golden):
    attack = fit_attack(golden["entropy_retain"], golden["entropy_test"])
    logit = attack.u * golden["entropy_forget"] + attack.c
    np.testing.assert_allclose(
        1 / (1 + np.exp(-logit)), golden["mia_member_prob_exact"], rtol=0, atol=1e-8
    )


@pytest.mark.parity
def test_golden_library_form(golden):
    """Two-class softmax form, halved, and only as near as the library's stopping rule leaves it."""
    attack = fit_attack(golden["entropy_retain"], golden["entropy_test"])
    np.testing.assert_allclose(attack.u, 2 * golden["mia_coef"], rtol=1e-4)
    np.testing.assert_allclose(attack.c, 2 * golden["mia_intercept"], rtol=1e-4)
    logit = attack.u * golden["entropy_forget"] + attack.c
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), golden["mia_member_prob"], atol=1e-4)


@pytest.mark.parity
def test_golden_score_through_the_metric(golden):
    splits = {"retain_train": "z_retain", "forget_train": "z_forget", "test": "z_test"}
    logits = {split: golden[name] for split, name in splits.items()}
    labels = {split: np.zeros(len(z), int) for split, z in logits.items()}
    values = METRICS["mia"](Context(Outputs(logits), labels))
    assert values["mia/entropy"] == golden["mia"]
    for split, name in splits.items():
        expected = golden[name.replace("z", "entropy", 1)].mean()
        assert values[f"entropy/{split}"] == pytest.approx(expected, abs=1e-12)


def test_attack_by_hand():
    """One member at -1, one other at 1: c = 0 by symmetry, which leaves one equation for u."""
    attack = fit_attack(np.array([-1.0]), np.array([1.0]))
    assert attack.c == pytest.approx(0.0, abs=1e-15)
    # d/du [2 log(1 + exp(u)) + u^2/4] = 2 sigmoid(u) + u/2 = 0
    assert 2 / (1 + math.exp(-attack.u)) + attack.u / 2 == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(attack.calls_member(np.array([-0.5, 0.5])), [True, False])


def test_classes_weigh_the_same_whatever_their_size():
    # Doubling every non-member doubles n: the balanced weights of members double with it.
    member, unseen = np.array([0.0, 0.4, 0.5]), np.array([0.3, 0.9])
    once = fit_attack(member, unseen, penalty=0.25)
    twice = fit_attack(member, np.tile(unseen, 4), penalty=0.25 * 11 / 5)
    np.testing.assert_allclose(once, twice, rtol=1e-9)


features = arrays(np.float64, st.integers(1, 8), elements=st.floats(-1e3, 1e3))


@settings(max_examples=150, deadline=None)
@given(member=features, unseen=features)
@example(member=np.full(4, 0.7), unseen=np.full(9, 0.7))  # a constant feature
@example(member=np.zeros(5), unseen=np.full(3, 1e3))  # separable, far apart
@example(member=np.zeros(5), unseen=np.full(3, 1e-9))  # separable, almost the same
@example(member=np.array([0.0, 1e3]), unseen=np.array([1e-3]))  # one wild value
def test_the_attack_always_converges(member, unseen):
    attack = fit_attack(member, unseen)
    scale = 1 + max(np.abs(member).max(), np.abs(unseen).max())
    assert np.all(np.abs(gradient(member, unseen, *attack)) <= 1e-9 * np.array([scale**2, scale]))


def test_a_constant_feature_has_no_slope():
    attack = fit_attack(np.full(50, 0.3), np.full(70, 0.3))
    assert attack == (0.0, 0.0)
    assert not attack.calls_member(np.full(3, 0.3)).any()


@pytest.mark.parametrize(
    ("member", "unseen", "penalty", "message"),
    [
        ([], [1.0], 0.25, "members and non-members"),
        ([1.0], [], 0.25, "members and non-members"),
        ([1.0, np.nan], [1.0], 0.25, "NaN or infinite"),
        ([1.0], [0.0], 0.0, "penalty must be positive"),
    ],
)
def test_an_attack_that_has_no_solution_is_refused(member, unseen, penalty, message):
    with pytest.raises(ValueError, match=message):
        fit_attack(np.array(member), np.array(unseen), penalty)


def test_the_attack_does_not_stop_at_its_start_point():
    """Released: a tolerance of 1e-4 on the normalised gradient, which holds at u = c = 0."""
    member = np.linspace(0.0, 0.5, 4000)
    unseen = member + 3e-4
    assert np.abs(gradient(member, unseen, 0.0, 0.0)).max() < 1e-4
    attack = fit_attack(member, unseen)
    assert np.abs(gradient(member, unseen, *attack)).max() < 1e-14
    assert attack.u < -5e-3
    assert attack.calls_member(np.array([0.0, 0.1])).all()  # at the start point: none


# --- areas and balanced accuracy ---


def test_area_under_curve_by_hand():
    assert area_under_curve(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert area_under_curve(np.array([1.0, 3.0]), np.array([1.0, 2.0])) == 0.5 * (0.25 + 1.0)
    assert area_under_curve(np.array([1.0]), np.array([1.0, 1.0])) == 0.5


@settings(max_examples=60, deadline=None)
@given(a=features, b=features)
def test_area_under_curve_properties(a, b):
    area = area_under_curve(a, b)
    pairs = (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    assert area == pytest.approx(pairs.mean(), abs=1e-12)
    assert area_under_curve(b, a) == pytest.approx(1 - area, abs=1e-12)


def test_no_unseen_example_judges_itself():
    member, forgotten = np.zeros(4), np.zeros(3)
    unseen = np.array([-1.0, 1.0])
    # Fitted on -1 alone, 1 looks like a member; fitted on 1 alone, -1 does. Each fold rejects none.
    assert balanced_accuracy(member, forgotten, unseen) == 0.5
    # The same examples rejected by an attack that has seen one of their kind.
    assert balanced_accuracy(member, forgotten, np.array([1.0, 1.0])) == 1.0
    assert balanced_accuracy(member, forgotten, unseen, fit_on=np.array([1.0])) == 0.75


@pytest.mark.parametrize(("centre", "expected"), [(1.0, 0.5), (-1.0, 1.0)])
def test_balanced_accuracy_of_perfect_and_of_no_forgetting(centre, expected):
    rng = np.random.default_rng(0)
    member, unseen = rng.normal(-1, 0.2, 400), rng.normal(1, 0.2, 300)
    forgotten = rng.normal(centre, 0.2, 200)
    assert balanced_accuracy(member, forgotten, unseen) == pytest.approx(expected, abs=0.01)
    assert balanced_accuracy(member, forgotten, unseen, unseen[:50]) == pytest.approx(
        expected, abs=0.01
    )


# --- the metric ---


def test_mia_by_hand():
    # Retained rows are sure, test rows are not; two forgotten rows of three look retained.
    context = binary_context(
        retain_train=[5.0, 5.5, 6.0, 6.5], forget_train=[6.0, 5.2, 0.1], test=[0.1, 0.2, 0.3, 0.4]
    )
    values = METRICS["mia"](context)
    for name in ("entropy", "confidence"):
        assert values[f"mia/{name}"] == pytest.approx(2 / 3)
        # 1/2 (2/3 + 1): all test rows are rejected by the attack of the other fold.
        assert values[f"mia/{name}_balanced_accuracy"] == pytest.approx(5 / 6)
        # Of 12 pairs, 8 are won by the sure rows, none by the other but a tie with 0.1.
        assert values[f"mia/{name}_auc"] == pytest.approx(8.5 / 12)
        assert values[f"mia/{name}_retain_auc"] == 1.0


def test_confidence_is_that_of_the_label_and_not_the_largest():
    context = binary_context(
        retain_train=[5.0, 6.0], forget_train=[-5.0, -6.0], test=[0.1, 0.2, -0.1]
    )
    values = METRICS["mia"](context)
    # Sure and wrong: by the entropy a member, by the true label's probability the opposite.
    assert values["mia/entropy"] == 1.0 and values["mia/confidence"] == 0.0
    assert values["mia/entropy_auc"] == 1.0 and values["mia/confidence_auc"] == 0.0


def test_saturated_confidences_are_still_ranked():
    context = binary_context(
        retain_train=[60.0, 70.0], forget_train=[80.0, 90.0], test=[50.0, 60.0, 70.0]
    )
    assert np.all(FEATURES["confidence"](context.model.logits["test"], context.labels["test"]) == 1)
    values = METRICS["mia"](context)
    assert values["mia/confidence_auc"] == 1.0 and values["mia/entropy_auc"] == 1.0


def test_unseen_examples_are_those_of_the_forgotten_classes():
    rng = np.random.default_rng(1)
    parts = {"retain_test": rng.normal(1, 1, 20), "forget_test": rng.normal(-3, 1, 10)}
    train = {"retain_train": rng.normal(4, 1, 40), "forget_train": rng.normal(-3, 1, 15)}
    test = np.concatenate(list(parts.values()))
    whole = METRICS["mia"](binary_context(**train, **parts, test=test))
    other = METRICS["mia"](binary_context(**train, **parts, test=test + 5))
    plain = METRICS["mia"](binary_context(**train, test=test))
    # Only the released score, and the strength of the attack, read the test set as a whole.
    for key in ("mia/confidence_balanced_accuracy", "mia/confidence_auc"):
        assert whole[key] == other[key]
        assert whole[key] != plain[key]
    assert whole["mia/confidence"] == plain["mia/confidence"]
    assert whole["mia/confidence_retain_auc"] != other["mia/confidence_retain_auc"]
    # All of the test set forgotten: the attack is fitted on the other fold of it.
    alone = METRICS["mia"](binary_context(**train, forget_test=test, test=test))
    assert alone == plain


def test_non_members_of_the_two_attacks():
    # The label's probability: 0.98 retained, 0.73 retain_test, 0.05 forget_test. The forgotten 0.8
    # lies above the midpoint to forget_test alone, below that to retain_test or to most of test.
    parts = {"retain_test": [1.0] * 20, "forget_test": [-3.0] * 2}
    train = {"retain_train": [4.0] * 30, "forget_train": [1.4] * 5}
    test = parts["retain_test"] + parts["forget_test"]
    values = METRICS["mia"](binary_context(**train, **parts, test=test))
    assert values["mia/confidence"] == 0.0
    assert values["mia/confidence_balanced_accuracy"] == 0.5
    # With no other unseen example the attack has to be fitted on those of the forgotten classes.
    del parts["retain_test"]
    values = METRICS["mia"](binary_context(**train, **parts, test=test))
    assert values["mia/confidence"] == 0.0
    assert values["mia/confidence_balanced_accuracy"] == 1.0


def test_a_single_unseen_example_gives_no_balanced_accuracy():
    values = METRICS["mia"](binary_context(retain_train=[5.0, 6.0], forget_train=[1.0], test=[0.0]))
    assert "mia/entropy" in values and "mia/entropy_balanced_accuracy" not in values


@pytest.mark.parametrize("missing", ["retain_train", "forget_train", "test"])
@pytest.mark.parametrize("name", ["mia", "mia_svc"])
def test_no_attack_without_its_splits(missing, name):
    margins = {"retain_train": [5.0, 6.0], "forget_train": [1.0], "test": [0.0, 1.0]}
    del margins[missing]
    assert METRICS[name](binary_context(**margins)) == {}


# --- the support vector machine ---


def test_svc_by_hand():
    # Members beyond the first len(test) rows are not read: they would turn the answer round.
    margins = {"retain_train": [5.0, 6.0, 7.0, 8.0] + [-5.0] * 40, "test": [-5.0, -6.0, -7.0, -8.0]}
    context = binary_context(**margins, forget_train=[6.0, 7.0, -6.0])
    values = METRICS["mia_svc"](context)
    assert values == pytest.approx(
        {"mia_svc/confidence_member": 2 / 3, "mia_svc/confidence_non_member": 1 / 3}
    )


@pytest.mark.parametrize("feature", FEATURES)
def test_svc_on_every_feature(feature):
    context = binary_context(
        retain_train=[5.0, 6.0, 7.0], test=[-0.5, -0.4, -0.6], forget_train=[6.0, -0.5]
    )
    assert mia_svc(context, feature)[f"mia_svc/{feature}_member"] == 0.5


def test_svc_is_not_linear():
    member, unseen = np.array([-0.1, 0.0, 0.1]), np.array([-3.0, 3.0, -4.0, 4.0])
    assert svc_members(member, unseen, np.array([0.05, 3.5, -3.5, 0.0])).mean() == 0.5


def test_an_unknown_feature_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'entropy'"):
        mia_svc(binary_context(), "entrpy")
