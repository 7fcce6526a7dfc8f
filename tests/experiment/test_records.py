"""Records: what stands in them, and the file that they are in."""

import json
import threading
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import junlearn
from junlearn.errors import ConfigError
from junlearn.experiment import provenance, records
from junlearn.experiment.locks import exclusive
from tests.recorded import record


def test_versions_tell_which_boosted_trees_there_are(monkeypatch):
    """`asr_xgboost` takes XGBoost where it is installed: an entry then, and only then."""
    real = provenance.version

    def absent(name):
        if name == "xgboost":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(provenance, "version", absent)
    assert "xgboost" not in provenance.versions() and "scikit-learn" in provenance.versions()
    monkeypatch.setattr(
        provenance, "version", lambda name: "9" if name == "xgboost" else real(name)
    )
    assert provenance.versions()["xgboost"] == "9"


def test_a_record_holds_what_a_method_reports_among_the_metrics():
    assert record()["metrics"] == {"accuracy/test": 0.9876, "tow": 0.5, "sisa/repeated": 0.5}
    assert record()["stages"] == {"unlearn": 2.5}


def test_a_record_holds_what_a_method_guarantees(tmp_path):
    certificate = {"mechanism": "noise", "epsilon": 1.0, "other": float("inf"), "assumed": ["a"]}
    result = junlearn.Result(None, None, [], {"run": 1.0}, {}, {}, certificate)
    plain = record()
    made = records.new(plain["config"], "abc", "unlearn", "noisy", {}, result)
    assert made["certificate"] == certificate and "certificate" not in plain
    path = tmp_path / "records.jsonl"
    records.append(path, made)
    assert records.read(path)[0]["certificate"] == {**certificate, "other": "inf"}


def test_a_record_holds_intervals_of_metrics_that_it_has(tmp_path):
    plain = record()
    given = {"accuracy/test": (0.5, 1.0), "tow": (0.1, float("nan"))}
    made = records.new(
        plain["config"], "abc", "unlearn", "noisy", plain["metrics"], None, intervals=given
    )
    path = tmp_path / "records.jsonl"
    records.append(path, made)
    # Of an earlier version.
    records.append(path, record(seed=9))
    read = records.read(path)
    assert read[0]["intervals"] == {"accuracy/test": [0.5, 1.0]}
    assert "intervals" not in read[1]


def test_intervals_of_an_evaluation_come_into_its_record(tmp_path):
    class Evaluated(dict):
        intervals = {"accuracy/test": (0.25, 0.75)}

    data = junlearn.Data(np.zeros((4, 2, 2, 1), np.uint8), np.arange(4, dtype=np.int32) % 2)
    names = {"dataset": "mine", "model": "own"}
    for metrics, intervals in (
        (Evaluated({"accuracy/test": 0.5}), {"accuracy/test": [0.25, 0.75]}),
        ({"accuracy/test": 0.5}, None),
    ):
        path = tmp_path / f"{intervals is None}.jsonl"
        made = junlearn.write_record(path, metrics, data, [1], "original", **names)
        assert made.get("intervals") == intervals == records.read(path)[0].get("intervals")


def test_intervals_that_are_none_are_damage(tmp_path):
    path, said = tmp_path / "records.jsonl", []
    records.append(path, record(intervals={"tow": ["low", "high"]}))
    assert records.read(path, said.append) == []
    assert "intervals are not pairs of numbers" in said[0]


def test_records_survive_a_write_that_was_cut_off(tmp_path):
    path = tmp_path / "records.jsonl"
    assert records.read(path) == []
    records.append(path, record(seed=1))
    with open(path, "a") as file:
        file.write('{"dataset": "di')
    assert [r["seed"] for r in records.read(path)] == [1]
    records.append(path, record(seed=2))
    assert [r["seed"] for r in records.read(path)] == [1, 2]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2


def test_a_lock_is_waited_for(tmp_path):
    messages, order = [], []
    inside, leave = threading.Event(), threading.Event()

    def holder():
        with exclusive(tmp_path / "d"):
            inside.set()
            leave.wait(10)
            order.append("holder")

    thread = threading.Thread(target=holder)
    thread.start()
    inside.wait(10)
    with pytest.raises(ConfigError, match="is in use by another run"), exclusive(tmp_path / "d"):
        pass

    def waiting(message):
        messages.append(message)
        leave.set()

    with exclusive(tmp_path / "d", waiting=waiting):
        order.append("second")
    thread.join()
    assert order == ["holder", "second"] and "in use" in messages[0]
