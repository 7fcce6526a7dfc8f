"""Intervals of values: against scipy, by simulation, at the ends, and beside every value that examples stand behind."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from junlearn.metrics import (
    Context,
    compute,
    compute_with_intervals,
)
from junlearn.metrics.aggregate import tug_of_war
from junlearn.metrics.intervals import (
    LARGE,
    balanced,
    few,
    of_area,
    of_mean,
    of_share,
    of_shares,
    wilson,
)
from tests.metrics.test_metrics import labels, network

SIZES = {
    "retain_train": 300,
    "forget_train": 40,
    "test": 150,
    "retain_test": 120,
    "forget_test": 30,
    "validation": 50,
}
SIMULATED = 400


# --- each kind by itself ---


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (1, 1), (2, 3), (17, 40), (999, 1000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_wilson_is_that_of_scipy(successes, count, level):
    expected = binomtest(successes, count).proportion_ci(level, method="wilson")
    assert wilson(successes, count, level) == pytest.approx(tuple(expected), abs=1e-12)
    low, high = wilson(successes, count, level)
    assert 0 <= low <= successes / count <= high <= 1


@pytest.mark.parametrize("given", [(-1, 3), (4, 3), (0, 0)])
def test_no_share_has_no_interval(given):
    with pytest.raises(ValueError, match="is no share"):
        wilson(*given)


def test_at_the_ends():
    assert of_mean(np.ones(1)) is None
    assert of_mean(np.full(7, 0.25)) == (0.25, 0.25)
    assert of_mean(np.array([0.0, 1.0])) == (0.0, 1.0)
    # Nothing is certain because all of a few examples agree.
    assert of_share(np.ones(3, bool)) == (pytest.approx(0.4385, abs=1e-4), 1.0)
    low, high = of_area(np.ones(4), np.zeros(9))
    assert (low, high) == wilson(4, 4)
    low, high = of_shares(balanced, np.ones(8, bool), np.ones(8, bool))
    assert 0.7 < low < 0.95
    assert high == 1.0


def test_the_same_input_gives_the_same_interval():
    rows = np.random.default_rng(0).exponential(size=50)
    assert of_mean(rows) == of_mean(rows)
    hits = rows > 1
    assert of_shares(balanced, hits, hits) == of_shares(balanced, hits, hits)


def test_a_large_set_has_the_limit_of_the_bootstrap():
    rows = np.random.default_rng(0).exponential(size=LARGE + 1)
    assert of_mean(rows) == pytest.approx(of_mean(rows[:-1]), abs=0.004)


def test_a_narrower_level_is_narrower():
    rng = np.random.default_rng(0)
    rows, hits = rng.normal(size=60), rng.random(60) < 0.3
    for make in (
        lambda level: of_share(hits, level),
        lambda level: of_mean(rows, level),
        lambda level: of_area(rows, rows[:20] + 0.5, level),
        lambda level: of_shares(balanced, hits, hits[:30], level=level),
    ):
        (low, high), (inner_low, inner_high) = make(0.95), make(0.5)
        assert low < inner_low < inner_high < high


def test_a_few_examples_are_told():
    assert few("the forget set", 30) == ""
    assert few("the forget set", 3) == (
        "the forget set has 3 examples: a rate of it moves by 33 points with one of them"
    )
    assert "has 1 example:" in few("it", 1)


# --- coverage: 95 % are promised ---


def covered(truth, draw):
    found = [draw() for _ in range(SIMULATED)]
    return np.mean([low <= truth <= high for low, high in found])


@pytest.mark.parametrize("count", [20, 200])
def test_coverage_of_means(count):
    rng = np.random.default_rng(1)
    assert 0.90 < covered(1.0, lambda: of_mean(rng.exponential(size=count))) < 0.98


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_coverage_of_areas(shift):
    rng = np.random.default_rng(2)

    def draw():
        return of_area(rng.normal(shift, size=25), rng.normal(size=60))

    assert 0.92 < covered(norm.cdf(shift / np.sqrt(2)), draw) < 0.985


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.95, 0.1)])
def test_coverage_of_a_balanced_accuracy(shares):
    rng = np.random.default_rng(3)

    def draw():
        return of_shares(balanced, rng.random(30) < shares[0], rng.random(80) < shares[1])

    assert 0.91 < covered(sum(shares) / 2, draw) < 0.985


@pytest.mark.parametrize("other", [0.9, 0.6])
def test_coverage_of_tug_of_war(other):
    """Also where two networks are equally good, so that the true value is the largest that there is."""
    rng = np.random.default_rng(4)

    def pairs(count):
        # Two networks agree on half of the examples.
        luck = rng.random(count)
        own = np.where(rng.random(count) < 0.5, luck, rng.random(count))
        return np.stack([luck < 0.9, own < other], axis=1)

    def score(*shares):
        return tug_of_war(*(a - b for a, b in zip(shares[::2], shares[1::2], strict=True)))

    def draw():
        return of_shares(score, pairs(40), pairs(300), pairs(150), top=1.0)

    assert 0.91 < covered((1 - (0.9 - other)) ** 3, draw) <= 1


# --- beside the values ---


def made(**changes):
    return Context(
        *(network(0, sizes=SIZES), labels(9, sizes=SIZES)),
        *(network(seed, sizes=SIZES) for seed in (1, 2, 3)),
        sample=np.arange(40),
    )._replace(**changes)


POISONED = {
    "target": 1,
    "labels": labels(9, sizes=SIZES | {"manipulated_train": 60, "test_triggered": 100}),
    "model": network(0, sizes=SIZES | {"manipulated_train": 60, "test_triggered": 100}),
    "clean": {"forget_train": labels(5, sizes=SIZES)["forget_train"]},
}


@pytest.mark.parametrize("changes", [{}, {"classes": (2,)}, POISONED])
def test_values_are_the_same_and_every_one_has_its_interval(changes):
    context = made(**changes)
    values, intervals = compute_with_intervals(context)
    assert values == compute(context)
    assert intervals.keys() == values.keys()
    for name, (low, high) in intervals.items():
        assert low <= values[name] <= high, name
        assert high - low < 0.9 or name.startswith("entropy"), name


def test_costly_attacks_have_them_too():
    names = ("mia_svc", "mia_svm", "zrf_released")
    values, intervals = compute_with_intervals(made(), names)
    assert values == compute(made(), names)
    without = {
        name.rpartition("/")[2].removeprefix("compat_") for name in values.keys() - intervals
    }
    assert {name for name in without if not name.endswith("_std")} == {
        "mutual_information",
        "chance",
    }
    for name, (low, high) in intervals.items():
        assert low <= values[name] <= high, name


def test_the_boosted_attack_has_them():
    sizes = {"retain_train": 64, "forget_train": 20, "test": 4100}
    context = made(
        model=network(0, sizes=sizes), labels=labels(9, sizes=sizes), sample=np.arange(60)
    )._replace(remark=lambda line: None)
    values, intervals = compute_with_intervals(context, ["asr"])
    assert intervals.keys() == {"asr/camu", "asr/camu_balanced"}
    assert values["asr/camu_train"] <= 1
    assert all(low <= values[name] <= high for name, (low, high) in intervals.items())


def test_steps_and_weights_have_none():
    curve = {0: {"retain_train": 0.9, "forget_train": 0.25}}
    context = made(relearn_retain=lambda: curve)
    values, intervals = compute_with_intervals(context, ["relearn_retain", "distance"])
    assert values.keys() - intervals.keys() == {"relearn_retain/gap", "relearn_retain/gap/0"}
    assert intervals["relearn_retain/forget_train/0"] == wilson(10, 40)


def test_a_metric_of_ones_own_says_what_it_knows():
    def mine(context):
        context.interval("mine", lambda: (0.25, 0.75))
        context.interval("forgotten", lambda: (0.0, 1.0))
        return {"mine": 0.5, "plain": 1.0}

    assert compute_with_intervals(made(), {"mine": mine}) == (
        {"mine": 0.5, "plain": 1.0},
        {"mine": (0.25, 0.75)},
    )
    assert compute(made(), {"mine": mine}) == {"mine": 0.5, "plain": 1.0}
