"""The numbers of the design "random", on runs of a known law."""

import numpy as np
import pytest

from junlearn.audit import coins
from junlearn.audit.ensembles import Ensemble
from junlearn.audit.margins import Margins
from junlearn.audit.random_compat import IN_SAMPLE
from junlearn.audit.random_judge import Runs, judge_runs, judge_unlearned
from junlearn.experiment.auditing import Auditing
from junlearn.metrics import ensemble as metrics

RUNS, TARGETS, TESTS = 32, 24, 20
LABELS = {"forget": np.arange(TARGETS) % 3, "test": np.arange(TESTS) % 3}


def margins(phi, labels):
    return Margins(phi, np.where(phi > 0, labels, (labels + 1) % 3))


def made(sets=2, memory=0.0, left=0.0, **settings):
    """Runs that remember what they were trained on, and networks that still do after unlearning, both by so many sd."""
    few = {"permutations": 149, "models": RUNS // 2, "folds": 4, "fpr": (0.1,)}
    auditing = Auditing(design="random", forget_sets=sets, **few | settings)
    drawn = coins.draw(np.arange(TARGETS), RUNS, sets, seed=1)
    rng = np.random.default_rng(3)
    before = rng.normal(size=(RUNS, TARGETS)) + memory * drawn.included
    after = rng.normal(size=(RUNS, sets, TARGETS)) + left * drawn.included[:, None]
    tests = rng.normal(size=(RUNS * (1 + sets), TESTS))

    def networks(name, phi, strangers):
        parts = {
            "forget": margins(phi, LABELS["forget"]),
            "test": margins(strangers, LABELS["test"]),
        }
        return Ensemble(name, parts, tuple(range(len(phi))))

    runs = Runs(
        drawn, networks("run", before, tests[:RUNS]), coins.folds(drawn, 4), LABELS, auditing
    )
    flat = after.reshape(-1, TARGETS)
    return runs, networks("method", flat, tests[RUNS:])


def test_what_runs_remember_is_found_before_unlearning():
    done, more, _ = judge_runs(made(memory=1.5)[0])
    assert done.values["lira/auc"] > 0.75 and done.p["lira/auc"] == 1 / 150
    assert done.null["lira/auc"].source == "coins"
    assert 0.4 < done.null["lira/auc"].low < 0.5 < done.null["lira/auc"].high < 0.6
    assert done.verdict["forget"].startswith("distinguishable")
    assert more["models"] == {"run": RUNS, "unlearned": 0}
    assert "indistinguishable at N = 16" in judge_runs(made()[0])[0].verdict["forget"]


@pytest.mark.parametrize("sets", [1, 2])
def test_what_is_left_after_unlearning_is_found(sets):
    runs, after = made(sets, left=1.5)
    done, more, arrays = judge_unlearned(runs, after)
    for name in ("ulira/accuracy", "ulira/auc", "rmia/auc"):
        assert done.p[name] == pytest.approx(sets / 150), name
    # With two groups a target has half of the runs in each: too few to be flagged by itself.
    assert (done.values["ulira/flagged"] > TARGETS / 2) == (sets == 1)
    assert (arrays["accuracy"] > 0.5).mean() > 0.9
    assert ("retain_exposure" in done.values) == (sets == 2)
    assert more["models"] == {"run": RUNS, "unlearned": RUNS * sets}


def test_a_perfect_unlearner_leaves_nothing():
    done, _, _ = judge_unlearned(*made(memory=1.5))
    assert "indistinguishable" in done.verdict["forget"]
    assert min(done.p.values()) > 0.02 and done.values["ulira/flagged"] <= 1
    assert done.values["epsilon_one_run"] == 0


def test_a_group_is_judged_by_its_own_networks():
    """The accuracy is the mean over the groups of that of the networks that forgot the group."""
    runs, after = made(left=0.7, metrics=("ulira",))
    done, _, _ = judge_unlearned(runs, after)
    networks = after.parts["forget"].phi.reshape(RUNS, 2, TARGETS)
    found = []
    for group in range(2):
        judged = runs.coins.group == group
        status = np.where(judged, np.where(runs.coins.included, 1, 2), 0)
        found.append(metrics.ulira(networks[:, group], status, runs.folds).accuracy)
    assert done.values["ulira/accuracy"] == pytest.approx(np.mean(found))


def test_released_forms_are_beside_and_titled():
    runs, after = made(left=1.0, metrics=("lira", "rmia", "ruli"), permutations=39)
    right, plain = (judge_unlearned(runs, after)[0].values, judge_runs(runs)[0].values)
    auditing = runs.auditing
    odd = runs._replace(
        auditing=Auditing(**{**vars(auditing), "compat": ("released", "deepunlearn")})
    )
    wrong = judge_unlearned(odd, after)[0].values
    assert 0 <= wrong[IN_SAMPLE] <= 1 and IN_SAMPLE not in right
    assert wrong["rmia/auc"] != right["rmia/auc"] and wrong["ruli/auc"] != right["ruli/auc"]
    assert "lira_released/auc" in judge_runs(odd)[0].values and "lira_released/auc" not in plain


def test_a_rate_that_no_threshold_reaches_is_said():
    runs, after = made(fpr=(0.1, 1e-4))
    done, more, _ = judge_unlearned(runs, after)
    assert "ulira/tpr@0.1" in done.values and not any("0.0001" in name for name in done.values)
    assert "TPR at FPR 0.0001 needs 10,000 never-seen scores; there are 192" in more["remarks"][0]
