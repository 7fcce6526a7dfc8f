"""The numbers of a comparison, beside those of a calculation by hand or by scipy's own functions."""

import math
import statistics

import pytest
from scipy import stats

from junlearn.comparison.cells import cell_of
from junlearn.comparison.gathering import gathered
from junlearn.comparison.placing import placed
from junlearn.comparison.ranks import ranked
from junlearn.comparison.significance import contest, holm, paired
from junlearn.comparison.tabulate import ranks_of, tabulate
from tests.comparison.made import FAIR, GOOD, POOR, RETRAIN, record, runs


def table(records, columns, gaps=False, **how):
    (place,) = placed(gathered(records, print), how.pop("over", ("seed",)), **how)
    return tabulate(place, columns, gaps)


def test_a_cell_has_the_mean_the_deviation_and_the_interval_of_student():
    cell = cell_of([1.0, 2.0, 6.0])
    assert cell.mean == 3.0 and cell.deviation == pytest.approx(math.sqrt(7))
    # t(0.975, 2) = 4.3027, as the tables have it.
    assert cell.half == pytest.approx(4.3027 * math.sqrt(7) / math.sqrt(3), rel=1e-4)
    assert (cell.low, cell.high) == (3.0 - cell.half, 3.0 + cell.half)
    interval = stats.t.interval(0.95, 2, 3.0, stats.sem([1.0, 2.0, 6.0]))
    assert (cell.low, cell.high) == pytest.approx(interval)
    alone = cell_of([0.5])
    assert alone.mean == 0.5 and math.isnan(alone.deviation) and math.isnan(alone.half)
    assert cell_of([]) is None


def test_holm_by_hand():
    # 3 x 0.01, 2 x 0.02, 1 x 0.03 and never below the one before; at most 1.
    assert holm({"b": 0.02, "a": 0.01, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "b": 0.04, "c": 0.04}
    )
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_the_paired_test_is_that_of_scipy_and_knows_equal_differences():
    one, other = [0.9, 0.7, 0.8, 0.95], [0.8, 0.75, 0.6, 0.9]
    assert paired(one, other) == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert paired(one, one) == 1.0
    assert paired([0.3, 0.4, 0.5], [0.2, 0.3, 0.4]) == 0.0


def test_a_column_with_a_direction():
    found = table(runs(), ["accuracy/retain_test"])
    cells = {name: cell for (name, _), cell in found.cells.items()}
    assert list(cells) == ["original", "retrain", "poor", "good", "fair"]
    kept = [value for value, _ in GOOD]
    assert cells["good"].mean == pytest.approx(statistics.fmean(kept))
    assert cells["good"].deviation == pytest.approx(statistics.stdev(kept))
    # The references are the largest and never compete.
    assert {name: cell.standing for name, cell in cells.items()} == {
        "original": "",
        "retrain": "",
        "poor": "",
        "good": "best",
        "fair": "tied",
    }
    # poor is 0.19 below good in every run: p is 0, and fair is the second of two.
    raw = stats.ttest_rel([value for value, _ in FAIR], kept).pvalue
    assert cells["poor"].p == 0.0 and cells["fair"].p == pytest.approx(raw)
    assert cells["good"].p is None


def test_a_column_whose_ideal_is_the_retrained_network():
    found = table(runs(), ["mia/entropy"])
    gaps = {
        name: [abs(own - other) for (_, own), (_, other) in zip(values, RETRAIN, strict=True)]
        for name, values in (("good", GOOD), ("fair", FAIR), ("poor", POOR))
    }
    assert found.contests["mia/entropy"].means == pytest.approx(
        {name: statistics.fmean(values) for name, values in gaps.items()}
    )
    p = {n: stats.ttest_rel(gaps[n], gaps["good"]).pvalue for n in ("fair", "poor")}
    smaller, larger = sorted(p, key=p.get)
    wanted = {smaller: 2 * p[smaller], larger: max(2 * p[smaller], p[larger])}
    assert found.contests["mia/entropy"].p == pytest.approx(wanted)
    # The table has the values themselves.
    assert found.cells["poor", "mia/entropy"].mean == pytest.approx(0.62)
    assert found.cells["good", "mia/entropy"].standing == "best"


def test_the_mean_gap_is_to_the_retrained_network_of_the_same_run():
    found = table(runs(), ["gap"])
    assert found.parts == ("accuracy/retain_test", "mia/entropy")
    by_run = [(abs(a - c) + abs(b - d)) / 2 for (a, b), (c, d) in zip(FAIR, RETRAIN, strict=True)]
    cell = found.cells["fair", "gap"]
    assert cell.mean == pytest.approx(statistics.fmean(by_run))
    assert cell.deviation == pytest.approx(statistics.stdev(by_run))
    assert ("retrain", "gap") not in found.cells and ("original", "gap") in found.cells
    whole = table(runs(), ["accuracy/retain_test", "seconds"], gaps=True)
    assert whole.cells["good", "accuracy/retain_test"].mean == pytest.approx(0.01)
    assert whole.cells["good", "accuracy/retain_test"].standing == "best"
    assert whole.cells["retrain", "seconds"].mean == 1.0


def test_parts_of_the_gap_are_what_all_networks_have():
    trained = {"retain_train": 1.0, "test": 0.9, "forget_test": 0.1}
    records = [
        record("retrain", role="retrain", **trained, mia=0.1),
        record("ssd", **trained, retain_test=0.9),
    ]
    assert table(records, ["gap"]).parts == ("accuracy/retain_train", "accuracy/forget_test")
    without = [record("ssd", **trained)]
    assert table(without, ["gap"]).cells == {}


def test_too_few_runs_are_not_tested():
    found = table([r for r in runs() if r["seed"] < 2], ["mia/entropy"])
    contest = found.contests["mia/entropy"]
    assert contest.best == ("good",) and contest.p == {}
    assert set(contest.untested) == {"fair", "poor"}


def test_the_best_is_tested_on_the_runs_that_are_shared():
    scores = {
        "a": {0: 1.0, 1: 2.0, 2: 3.5},
        "b": {1: 2.5, 2: 4.5, 3: 5.0},
        "c": {0: 1, 1: 2, 2: 3.5},
    }
    found = contest(scores)
    assert found.best == ("a", "c") and found.untested == ("b",)
    assert contest({}).best == ()


def test_ranks_and_friedman_as_scipy_has_them():
    tables = [
        {"a": 1.0, "b": 2.0, "c": 3.0},
        {"a": 1.0, "b": 3.0, "c": 2.0},
        {"a": 5, "b": 5, "c": 6},
    ]
    found = ranked(tables)
    assert found.means == pytest.approx({"a": 3.5 / 3, "b": 6.5 / 3, "c": 8 / 3})
    wanted = stats.friedmanchisquare(*([t[n] for t in tables] for n in "abc"))
    assert (found.statistic, found.p) == pytest.approx(tuple(wanted))
    assert ranked(tables[:2]).p is None and ranked([{"a": 1.0}, {"b": 1.0}]).means == {}
    assert ranked([{"a": 1, "b": 1, "c": 1}] * 3).statistic is None


def test_there_is_no_rank_of_a_single_method():
    assert ranked([{"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 2.0}]).means == {}
    tables = [
        table([record(name, classes=classes, mia=0.1)], ["seconds"])
        for classes, name in (((0,), "a"), ((1,), "b"))
    ]
    assert ranks_of(tables, ["seconds"]) == {}


def test_rounding_makes_no_difference_between_equal_methods():
    one, other = {0: 0.1, 1: 0.2, 2: 0.3}, {0: 0.3, 1: 0.2, 2: 0.1}
    assert 0.3 - 0.1 != 0.2
    found = contest({"a": one, "b": other, "c": {0: 0.3 - 0.1}, "d": {0: 0.2}})
    assert found.best == ("a", "b", "c", "d")


def test_ranks_over_classes():
    records = [*runs((0,)), *runs((1,)), *runs((2,))]
    tables = [tabulate(p, ["gap", "seconds"]) for p in placed(gathered(records, print), ["seed"])]
    assert [table.place.values for table in tables] == [
        {"scenario.classes": f"[{n}]"} for n in range(3)
    ]
    ranks = ranks_of(tables, ["gap", "seconds"])
    assert ranks["gap"].means == {"good": 1.0, "fair": 2.0, "poor": 3.0}
    assert ranks["gap"].statistic == pytest.approx(6.0)
    assert ranks["seconds"].means == dict.fromkeys(("poor", "good", "fair"), 2.0)
    assert ranks_of(tables[:1], ["gap"]) == {}
