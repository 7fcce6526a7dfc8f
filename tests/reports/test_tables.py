"""Records as tables: the rows, the files and the summaries."""

import csv
import importlib.util
import json

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.aggregate import aus_with_error, measured
from junlearn.reports import tables


def record(role, seed, kept, forgotten, classes=(0,), method=None, **fields):
    method = method or role
    return {
        "dataset": "mnist",
        "model": "mlp",
        "scenario": "class",
        "method": method,
        "role": role,
        "seed": seed,
        "metrics": {"accuracy/retain_test": kept, "accuracy/forget_test": forgotten},
        "seconds": {"run": 1.0 + seed, "evaluate": 0.5},
        "history": [],
        "config": {
            "seed": seed,
            "seeds": {"order": None},
            "scenario": {"name": "class", "classes": list(classes)},
            "methods": [method] if role == "unlearn" else [],
            "method": {method: {"name": "duck", "epochs": 3, **fields}}
            if role == "unlearn"
            else {},
        },
        "config_hash": f"{role}{seed}",
        "versions": {"jax": "0.10.2"},
        "device": "cpu x1",
        "time": "2026-01-01",
    }


RUNS = [
    record("original", 0, 0.90, 0.9),
    record("unlearn", 0, 0.80, 0.02),
    record("original", 1, 0.94, 0.9),
    record("unlearn", 1, 0.86, 0.04),
]


def test_a_row_holds_everything_flat():
    one = tables.rows(RUNS)[1]
    assert list(one)[:7] == [*tables.IDENTITY, "accuracy/retain_test"]
    assert one["seconds/evaluate"] == 0.5 and one["config_hash"] == "unlearn0"
    assert one["versions/jax"] == "0.10.2" and one["config/method/epochs"] == 3
    assert one["config/scenario/classes"] == "[0]" and one["config/seeds/order"] is None
    assert all(list(row) == list(one) for row in tables.rows(RUNS))
    assert tables.rows(RUNS)[0]["config/method/epochs"] is None
    assert tables.rows([]) == []


def test_csv(tmp_path):
    path = tmp_path / "deep" / "t.csv"
    tables.write(RUNS, path)
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["role"] for row in read] == [r["role"] for r in RUNS]
    assert float(read[1]["accuracy/retain_test"]) == 0.80
    assert read[0]["config/method/epochs"] == "" and json.loads(
        read[0]["config/scenario/classes"]
    ) == [0]


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    # A field that is a number here and text there.
    mixed = [*RUNS, record("unlearn", 2, 1, 0.0, method="other", epochs="many")]
    tables.write(mixed, tmp_path / "t.parquet")
    read = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["accuracy/retain_test"] for row in read] == [0.90, 0.80, 0.94, 0.86, 1.0]
    assert [row["config/method/epochs"] for row in read] == [None, "3", None, "3", "many"]


def test_what_cannot_be_written_is_said_at_once(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"must end in .csv or .parquet"):
        tables.write(RUNS, tmp_path / "t.xlsx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"junlearn\[parquet\]"):
        tables.check(tmp_path / "t.parquet")
    tables.check(tmp_path / "t.csv")


def test_summary_over_seeds():
    original, unlearned = tables.summary(tables.rows(RUNS))
    assert unlearned["runs"] == 2 and unlearned["method"] == "unlearn" and "seed" not in unlearned
    assert unlearned["accuracy/retain_test"] == pytest.approx(0.83)
    assert unlearned["accuracy/retain_test_std"] == pytest.approx(0.06 / np.sqrt(2))
    assert unlearned["seconds/run"] == 1.5 and unlearned["config/method/epochs"] == 3
    score = aus_with_error(
        measured([0.90, 0.94]), measured([0.80, 0.86]), measured([0.02, 0.04]), classes=True
    )
    assert (unlearned["aus_of_means"], unlearned["aus_error"]) == pytest.approx(tuple(score))
    assert original["aus_of_means"] is None


def test_aus_of_means_takes_the_true_labels_where_there_are_others():
    def row(**accuracies):
        return {"scenario": "noise"} | {f"accuracy/{k}": v for k, v in accuracies.items()}

    before = [row(test=0.9, forget_train=0.9)]
    after = row(test=0.9, forget_train=0.1)
    assert tables.aus_of_means(before, [after]).mean == pytest.approx(1 / 1.8)
    repaired = after | {"accuracy/forget_train_clean": 0.9}
    assert tables.aus_of_means(before, [repaired]).mean == pytest.approx(1)
    # As in a table whose other rows are of another scenario.
    other = after | {"accuracy/forget_train_clean": None}
    assert tables.aus_of_means(before, [other]).mean == pytest.approx(1 / 1.8)


def test_a_summary_mixes_no_settings():
    """Another field of the method, another class: other groups, unless the class is summed over."""
    more = [
        *RUNS,
        record("unlearn", 0, 0.5, 0.0, epochs=9),
        record("original", 0, 0.92, 0.9, classes=(1,)),
        record("unlearn", 0, 0.7, 0.0, classes=(1,)),
    ]
    table = tables.rows(more)
    assert sorted(row["runs"] for row in tables.summary(table)) == [1, 1, 1, 2, 2]
    both = tables.summary(table, over=("seed", "config/scenario/classes"))
    assert sorted(row["runs"] for row in both) == [1, 3, 3]
    single = next(row for row in both if row["runs"] == 1)
    assert single["accuracy/retain_test_std"] is None and single["aus_error"] is None
    assert single["aus_of_means"] == pytest.approx(1 - (0.92 - 0.5))
    with pytest.raises(ConfigError, match="no column 'klass'"):
        tables.summary(table, over=("klass",))


def test_intervals_are_columns_that_no_mean_is_taken_of(tmp_path):
    told = [
        one | {"intervals": {"accuracy/retain_test": [0.5, 0.95]}}
        if one["role"] == "unlearn"
        else one
        for one in RUNS
    ]
    rows = tables.rows(told)
    names = list(rows[1])
    assert names[6:10] == [
        *("accuracy/retain_test", "accuracy/forget_test"),
        *("accuracy/retain_test_low", "accuracy/retain_test_high"),
    ]
    assert (rows[1][names[8]], rows[1][names[9]], rows[0][names[8]]) == (0.5, 0.95, None)
    assert tables.summary(rows) == tables.summary(tables.rows(RUNS))
    tables.write(told, tmp_path / "runs.csv")
    with open(tmp_path / "runs.csv", newline="") as file:
        assert next(csv.DictReader(file))["accuracy/retain_test_low"] == ""


def test_a_metric_whose_name_ends_like_a_bound_is_one():
    told = [one | {"metrics": one["metrics"] | {"mine_low": 0.5}} for one in RUNS]
    assert tables.summary(tables.rows(told))[0]["mine_low"] == 0.5


def test_the_number_of_retrained_networks_keeps_no_runs_apart():
    told = [one | {"config": one["config"] | {"references": 1 + one["seed"]}} for one in RUNS]
    assert [row["runs"] for row in tables.summary(tables.rows(told))] == [2, 2]
