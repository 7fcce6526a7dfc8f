"""The support vector attack of DUCK and SCAR, and AUS over runs, against the reference cases."""

import numpy as np
import pytest

from junlearn.metrics import METRICS, Context, Outputs
from junlearn.metrics.aggregate import Measured, aus_with_error, measured
from junlearn.metrics.probabilities import softmax
from junlearn.metrics.svm_attack import AttackRows, deal, fit, judge, mia_svm


def groups(case, name, i):
    """Forgotten and unseen probabilities of a repetition, in the order of the reference."""
    if name == "08a_mia_hr":
        forgotten, unseen = case[f"forget_probs_{i}"], case[f"test_probs_{i}"]
        return forgotten[case[f"perm_{i}"]][: len(unseen)], unseen
    forgotten, unseen = (softmax(case[f"{key}_logits"]) for key in ("forget", "forget_test"))
    unseen = unseen[case[f"perm_test_{i}"]]
    return forgotten[case[f"perm_forget_{i}"]][: 3 * len(unseen)], unseen


@pytest.mark.parity
@pytest.mark.parametrize("name", ["08a_mia_hr", "08b_mia_cr"])
def test_parity_with_the_reference(name, golden):
    case = golden(f"scar_corrective/{name}")
    repetitions = sum(key.startswith("random_state_") for key in case)
    assert repetitions
    for i in range(repetitions):
        compare(case, name, i)


def compare(case, name, i):
    rows = deal(*groups(case, name, i), unseen_first=name == "08b_mia_cr")
    reference = AttackRows(
        *(case[f"{key}_{i}"] for key in ("x_train", "y_train", "x_test", "y_test"))
    )
    for ours, theirs in zip(rows, reference, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    attack = fit(reference, int(case[f"random_state_{i}"]))
    assert attack.best_params_ == {"C": case[f"best_C_{i}"], "gamma": case[f"best_gamma_{i}"]}
    assert attack.best_score_ == pytest.approx(float(case[f"best_cv_score_{i}"]), rel=1e-12)
    result = dict(zip(case["columns"].tolist(), case[f"result_{i}"].tolist(), strict=True))
    expected = {
        "accuracy": result["accuracy"],
        "chance": result["chance"],
        "balanced_accuracy": (result["acc_label0"] + result["acc_label1"]) / 2,
        "forgotten_accuracy": result["acc_label0"],
        "unseen_accuracy": result["acc_label1"],
        "mutual_information": result["mutual_information"],
    }
    assert judge(attack, reference) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def context(shift, unseen="forget_test", count=40):
    """Forgotten examples whose logits lie `shift` beside those of the unseen."""
    rng = np.random.default_rng(0)
    splits = {
        "forget_train": rng.normal(size=(120, 4)) + shift * np.array([1, 0, 0, 0]),
        unseen: rng.normal(size=(count, 4)),
    }
    return Context(Outputs(splits), {})


def test_balanced_groups_stand_beside_the_released_ones():
    alike = mia_svm(context(0.0), repetitions=2)
    apart = mia_svm(context(6.0), repetitions=2)
    assert alike["mia_svm/chance"] == 0.5 and alike["mia_svm/compat_chance"] == 0.25
    assert alike["mia_svm/balanced_accuracy"] == pytest.approx(0.5, abs=0.2)
    # What the released form takes for success: "forgotten" for nearly all.
    assert alike["mia_svm/compat_accuracy"] > 0.65
    assert alike["mia_svm/compat_balanced_accuracy"] < 0.6
    assert apart["mia_svm/accuracy"] > 0.9 and apart["mia_svm/mutual_information"] > 0.5
    assert "mia_svm/accuracy_std" in apart and "mia_svm/chance_std" not in apart
    assert mia_svm(context(0.0), repetitions=2) == alike


def test_nothing_is_made_up():
    assert not any("compat" in name for name in mia_svm(context(0.0, "test", 120), 1))
    assert mia_svm(context(0.0, count=4)) == {}
    assert METRICS["mia_svm"](Context(Outputs({"forget_train": np.zeros((9, 4))}), {})) == {}


@pytest.mark.parity
def test_aus_over_runs_is_the_reference(golden):
    case = golden("scar_corrective/06_aus")
    for i, homogeneous in enumerate(case["is_hr"]):
        original, kept, forgotten = (
            Measured(float(case[f"acc_{name}"][i]), float(case[f"sd_{name}"][i]))
            for name in ("original", "test", "forget")
        )
        score = aus_with_error(original, kept, forgotten, classes=not homogeneous)
        assert score.mean == pytest.approx(case["aus"][i], rel=1e-12)
        assert score.deviation == pytest.approx(case["aus_error"][i], rel=1e-12)


def test_the_error_of_a_quotient():
    """10 ± 3 over 11 ± 4 is 0.909 ± 0.4286: the example by which the formulas were checked."""
    ten, eleven = Measured(10.0, 3.0), Measured(10.0, 4.0)
    score = aus_with_error(Measured(1.0, 0.0), ten, eleven, classes=True)
    assert score == pytest.approx((10 / 11, 0.42856), rel=1e-4)


def test_runs_are_measured_by_the_sample_deviation():
    assert measured([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, np.sqrt(7 / 3)))
    assert measured([0.5]).mean == 0.5 and np.isnan(measured([0.5]).deviation)
