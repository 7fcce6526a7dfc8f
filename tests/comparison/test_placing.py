"""Which records stand in one row: what is refused, what counts once, and what is kept apart."""

import copy

import pytest

from junlearn.comparison.gathering import gathered
from junlearn.comparison.placing import placed
from junlearn.errors import ConfigError
from junlearn.experiment import records as log
from junlearn.reports.compared import compared
from tests.comparison.made import record, runs


def places(records, over=("seed",), by=()):
    return placed(gathered(records, print), over, by)


def rows(place):
    return {row.name: len(row.runs) for row in place.rows}


def changed(found, **fields):
    found = copy.deepcopy(found)
    found["config"] |= fields
    return found


def test_settings_that_are_not_named_are_not_averaged(tmp_path):
    for name, alpha in (("a", 1.0), ("b", 10.0)):
        (tmp_path / name).mkdir()
        one = record("ssd", 0, settings={"alpha": alpha}, test=0.5)
        log.append(tmp_path / name / "records.jsonl", one)
    paths = [tmp_path / "a", str(tmp_path / "b" / "records.jsonl")]
    with pytest.raises(ConfigError) as caught:
        places(paths)
    assert str(caught.value) == (
        f"ssd: alpha is 1.0 in {tmp_path}/a and 10.0 in {tmp_path}/b; name it: --over "
        "method.ssd.alpha takes means over it, --by method.ssd.alpha keeps its values apart; or "
        "give one of them"
    )
    assert [rows(p) for p in places(paths, over=["method.ssd.alpha"])] == [{"ssd": 2}]
    (apart,) = places(paths, by=["method.ssd.alpha"])
    assert rows(apart) == {"ssd (alpha 1.0)": 1, "ssd (alpha 10.0)": 1}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("a"), record("a", 1)], "seed is 0 and 1"),
        ([record("a"), changed(record("b"), train={"epochs": 3})], "train.epochs is 2 and 3"),
        (
            [
                record("a"),
                changed(record("a"), train={"epochs": 3}, held_out=0.1),
                changed(record("a"), held_out=0.2),
            ],
            r"train.epochs is 2 and 3 \(they differ in held_out too\)",
        ),
        ([record("a"), record("a", settings={"name": "other"})], "a: name is 'a' and 'other'"),
    ],
)
def test_what_is_said_of_records_in_memory(records, message):
    with pytest.raises(ConfigError, match=message):
        places(records, over=())


def test_names_of_settings_that_do_not_exist():
    with pytest.raises(ConfigError, match=r"unknown setting 'scenario.class'.*scenario.classes"):
        places(runs(), over=["scenario.class"])
    with pytest.raises(ConfigError, match="seed is in over and in by"):
        places(runs(), by=["seed"])


def test_another_problem_is_another_table_unless_it_is_named():
    both = [*runs((0,)), *runs((1,))]
    assert [p.title for p in places(both)] == [
        "digits, mlp, scenario class, classes [0]",
        "digits, mlp, scenario class, classes [1]",
    ]
    (one,) = places(both, over=["seed", "scenario.classes"])
    assert set(rows(one).values()) == {6}
    (all_of_it,) = places(both, over=["seed", "scenario"])
    assert all_of_it.title == "digits, mlp, all scenarios"
    apart = places([changed(r, train={"epochs": r["seed"]}) for r in both], by=["train.epochs"])
    assert len(apart) == 6 and apart[0].title.endswith("classes [0], epochs 0")


def test_a_network_counts_once():
    again = [copy.deepcopy(r) | {"time": "2027"} for r in runs()]
    again[0]["metrics"]["accuracy/retain_test"] = 0.5
    (place,) = places([runs(), again])
    assert set(rows(place).values()) == {3} and place.twice == len(again)
    # Of two looks at one network the later counts.
    poor = next(row for row in place.rows if row.label == "poor")
    assert next(iter(poor.runs.values()))["metrics"]["accuracy/retain_test"] == 0.5
    assert (
        "15 records are of networks that another record is of" in compared([runs(), again]).table()
    )


def test_what_changes_no_number_and_what_older_records_lack():
    one, other = record("a", 0), record("a", 1)
    other["config"] |= {"loop": {"kind": "scan"}, "metrics": ["accuracy"], "precision": "float32"}
    other["config"]["dataset"] |= {"data_dir": "/elsewhere", "crop": None}
    del other["config"]["seeds"]
    (place,) = places([one, other])
    assert rows(place) == {"a": 2}


def test_data_of_one_name_are_not_the_same_data():
    one, other = record("a", 0), record("a", 1)
    one["request"] = {"data": "f1-held-out-0.1-0", "rows": "r1"}
    other["request"] = {"data": "f1-held-out-0.1-1", "rows": "r2"}
    assert len(places([one, other])) == 1
    other["request"]["data"] = "f2"
    assert len(places([one, other])) == 2
    other["request"]["data"] = "f1"
    for each in (one, other):
        each["config"]["scenario"]["file"] = "request.txt"
    assert [p.values for p in places([one, other])] == [
        {"scenario.file": "r1"},
        {"scenario.file": "r2"},
    ]


def test_of_a_stream_the_last_request():
    stream = []
    for number in (1, 2):
        for seed in (0, 1):
            found = record("a", seed, test=0.1 * number)
            stream.append(found | {"request": {"number": number}})
    (place,) = places(stream)
    assert [r["request"]["number"] for row in place.rows for r in row.runs.values()] == [2, 2]
    assert rows(places(stream, over=["seed", "request"])[0]) == {"a": 4}
    assert [p.values for p in places(stream, by=["request"])] == [{"request": 1}, {"request": 2}]


def test_settings_of_one_method_side_by_side():
    named = {"mild": 1.0, "strong": 9.0}
    records = [
        record(label, seed, settings={"name": "ssd", "alpha": alpha}, test=0.5)
        for label, alpha in named.items()
        for seed in (0, 1)
    ]
    (place,) = places([*records, record("retrain", test=0.5)])
    assert list(rows(place)) == ["mild (alpha 1.0)", "strong (alpha 9.0)", "retrain (as a method)"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere", "there is no such directory or file"),
        (3, "expected paths or records, got 3"),
        ([], "there is no record in what was given"),
        ([{"method": "a"}], "is no record, it has no 'code'|no 'config'"),
    ],
)
def test_what_is_no_run(given, message):
    with pytest.raises(ConfigError, match=message):
        gathered(given, print)


def test_a_folder_of_runs_names_them_and_a_damaged_file_is_told(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    log.append(tmp_path / "runs" / "a" / "records.jsonl", record("a", test=0.5))
    with pytest.raises(ConfigError, match=rf"the runs in it are {tmp_path}/runs/a"):
        gathered(tmp_path / "runs", print)
    with (tmp_path / "runs" / "a" / "records.jsonl").open("a") as file:
        file.write("{}\n")
    found = compared(tmp_path / "runs" / "a")
    assert len(found.remarks) == 1 and "1 line is left out" in found.table("html")
