"""Audits of a perfect unlearner: every test raises a false alarm in 5 of 100, whatever the networks have in common."""

import math

import numpy as np
import pytest

from junlearn.audit import coins
from junlearn.audit.ensembles import Ensemble
from junlearn.audit.judge import judge
from junlearn.audit.margins import Margins
from junlearn.audit.random_judge import Runs, judge_runs, judge_unlearned
from junlearn.audit.yardstick import Yardstick
from junlearn.experiment.auditing import Auditing
from junlearn.metrics import ensemble
from junlearn.metrics.ensemble import permutations

LEAST, MOST = 0.005, 0.12
"""Shares of 100 p values of at most 0.05: a binomial of 100 trials is outside in 1 of 100."""


def drawn(rng, networks, rho, means):
    """Normal margins of variance 1, of which the examples of a network have the share rho in common."""
    common = math.sqrt(rho) * rng.normal(size=(networks, 1))
    parts = {}
    for part, mean in means.items():
        phi = mean + common + math.sqrt(1 - rho) * rng.normal(size=(networks, len(mean)))
        parts[part] = Margins(phi, np.where(phi > 0, 0, rng.integers(1, 3, phi.shape)))
    return Ensemble("drawn", parts, tuple(range(networks)))


def audited(seed, auditing, examples, rho, parts=("forget",)):
    rng = np.random.default_rng((9, seed))
    means = {part: rng.normal(1, 1, examples) for part in parts}
    unlearned, retrained = (drawn(rng, auditing.models, rho, means) for _ in range(2))
    labels = {part: np.zeros(examples, int) for part in parts}
    yardstick = Yardstick(retrained, None, labels, 3, auditing)
    return judge(yardstick, unlearned)


def shares(done):
    return {name: np.mean([each.p[name] <= 0.05 for each in done]) for name in done[0].p}


def _few_alarms(done):
    """Of 40 audits at most 6 raise a false alarm, and about half of the p values are below one half.

    Values with ties, such as true positive rates, and the least of two groups have larger p values: no lower bound.
    """
    assert all(share <= 0.15 for share in shares(done).values()), shares(done)
    low = {name: np.mean([each.p[name] <= 0.5 for each in done]) for name in done[0].p}
    assert all(share <= 0.75 for share in low.values()), low
    assert max(low.values()) >= 0.25, low


def test_tests_of_a_request_are_exact():
    settings = {"metrics": ("energy", "moments", "efficacy"), "permutations": 99}
    done = [
        audited(seed, Auditing(models=16, twins=0, seed=seed, **settings), 10, 0.2)
        for seed in range(100)
    ]
    found = shares(done)
    assert set(found) >= {"forget/energy", "forget/mean_shift", "forget/tpr@0.01"}
    assert {name: share for name, share in found.items() if not LEAST <= share <= MOST} == {}
    said = [each.verdict["forget"] for each in done]
    assert np.mean([text.startswith("distinguishable") for text in said]) <= MOST


@pytest.mark.parametrize("metrics", [("forgetting_quality", "klom"), ("tow", "churn")])
def test_slow_and_discrete_tests_of_a_request_are_exact(metrics):
    settings = {"metrics": metrics, "permutations": 99}
    done = [
        audited(
            seed,
            Auditing(models=16, twins=0, seed=seed, **settings),
            6,
            0.05,
            ("forget", "retain", "test") if "tow" in metrics else ("forget",),
        )
        for seed in range(40)
    ]
    _few_alarms(done)


def test_tests_of_the_random_design_are_exact():
    """Networks remember the targets that they keep, and share noise with their run: neither may raise an alarm."""
    before, after = [], []
    for seed in range(40):
        rng = np.random.default_rng((8, seed))
        auditing = Auditing(
            design="random",
            models=16,
            targets=24,
            forget_sets=2,
            permutations=99,
            metrics=("lira", "ulira"),
            seed=seed,
        )
        tossed = coins.draw(np.arange(24), 32, 2, seed)
        means = {"forget": rng.normal(1, 1, 24)}
        run = drawn(rng, 32, 0.1, means)
        labels = {"forget": np.zeros(24, int)}
        runs = Runs(tossed, run, coins.folds(tossed, 4), labels, auditing)
        part = drawn(rng, 64, 0.1, means).parts["forget"]
        number = np.tile(np.arange(2), 32)[:, None]
        included, group = (np.repeat(each, 2, axis=0) for each in (tossed.included, tossed.group))
        kept = included & (group != number)
        common = np.repeat(run.parts["forget"].phi, 2, axis=0)
        phi = part.phi + common + kept + 0.2 * kept @ rng.normal(size=(24, 1))
        parts = {"forget": part._replace(phi=phi)}
        unlearned = Ensemble("unlearned", parts, tuple(range(len(phi))))
        before.append(judge_runs(runs)[0])
        after.append(judge_unlearned(runs, unlearned)[0])
    for done in (before, after):
        assert "lira/auc" in done[0].p or "ulira/accuracy" in done[0].p
        _few_alarms(done)


def test_accuracy_of_eight_networks_is_one_half():
    """In the design "request", and in the random one with coins in blocks; coins without blocks fall short of it."""
    rng = np.random.default_rng(3)
    pools = rng.normal(size=(100, 16, 100))
    request = [
        ensemble.resampled_crossfit(pool, permutations(8, 8, 20, rng), curve=False).accuracy.mean()
        for pool in pools
    ]
    assert np.mean(request) == pytest.approx(0.5, abs=0.002)
    folds = np.arange(16) // 8
    in_blocks, over_all = [], []
    for _ in range(200):
        phi = rng.normal(size=(16, 200))
        half = np.broadcast_to(np.arange(8)[:, None] < 4, (8, 200))
        blocks = np.concatenate([rng.permuted(half, axis=0) for _ in range(2)])
        in_blocks.append(ensemble.ulira(phi, np.where(blocks, 1, 2), folds).accuracy)
        status = np.where(rng.permuted(blocks, axis=0), 1, 2)
        enough = (
            np.stack([(status[folds == f] == k).sum(axis=0) for f in (0, 1) for k in (1, 2)]) >= 2
        ).all(axis=0)
        over_all.append(ensemble.ulira(phi[:, enough], status[:, enough], folds, least=2).accuracy)
    assert np.mean(in_blocks) == pytest.approx(0.5, abs=0.002)
    assert np.mean(over_all) < 0.495


def test_copies_of_the_examples_change_no_p_value():
    """The unit is a network: ten times as many examples, which say nothing new, are not ten times as much evidence."""
    auditing = Auditing(
        models=16, twins=0, metrics=("energy", "moments", "efficacy", "klom"), permutations=99
    )
    rng = np.random.default_rng(2)
    means = {"forget": rng.normal(size=12)}
    sides = [drawn(rng, 16, 0.1, means) for _ in range(2)]
    labels = {"forget": np.zeros(12, int)}
    found = []
    for copies in (1, 10):
        wide = [
            side._replace(
                parts={"forget": side.parts["forget"].columns(np.tile(np.arange(12), copies))}
            )
            for side in sides
        ]
        many = {"forget": np.tile(labels["forget"], copies)}
        found.append(judge(Yardstick(wide[1], None, many, 3, auditing), wide[0]).p)
    for name in ("energy", "mean_shift", "log_variance_ratio", "accuracy", "auc", "klom_mean"):
        assert found[0][f"forget/{name}"] == found[1][f"forget/{name}"], name


def test_the_band_of_tug_of_war_is_as_wide_as_its_values_spread():
    """Pairs of one split of a pool would be too alike, and pairs drawn from a split too different."""
    settings = {"metrics": ("tow",), "permutations": 19, "splits": 50}
    parts = {"forget": 20, "retain": 20, "test": 20}
    values, spreads = [], []
    for seed in range(400):
        rng = np.random.default_rng((11, seed))
        means = {part: np.linspace(-1, 2, size) for part, size in parts.items()}
        sides = [drawn(rng, 16, 0.05, means) for _ in range(3)]
        labels = {part: np.zeros(size, int) for part, size in parts.items()}
        auditing = Auditing(models=16, seed=seed, **settings)
        yardstick = Yardstick(sides[1], sides[2], labels, 3, auditing)
        yardstick.bootstraps = 20
        done = judge(yardstick, sides[0])
        values.append([done.values[name] for name in ("tow", "tow_mia")])
        spreads.append([done.null[name].sd for name in ("tow", "tow_mia")])
    assert np.mean(spreads, axis=0) == pytest.approx(np.std(values, axis=0), rel=0.12)
