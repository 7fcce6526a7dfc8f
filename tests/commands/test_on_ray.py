"""Sweeps on Ray: tasks and their resources, what fails, what is cancelled, and a real cluster of two workers."""

import csv
import fcntl
import json
import os
import subprocess
import sys
import threading

import pytest

from junlearn.commands import on_ray
from junlearn.errors import ConfigError
from junlearn.experiment import schema, sweep
from junlearn.experiment.resources import Resources, resources_of
from tests import small_run, tiny_run
from tests.commands import ray_stand_in
from tests.conftest import ROOT
from tests.small_run import call

TABLE = tiny_run.CONFIG | {"sweep": {"seed": [0, 1]}}
SWEEP = ("sweep", "--config", "grid.json", "--workdir", "w")
RAY = (*SWEEP, "--engine", "ray")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A sweep of two points, `grid.json`."""
    small_run.enter(tmp_path, monkeypatch)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in on_ray.MEMORY:
        # A task sets it, and here the tasks are in this process.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    write(tmp_path)
    return tmp_path


def write(place, **engine):
    table = TABLE | ({"engine": engine} if engine else {})
    (place / "grid.json").write_text(json.dumps(table))


def runs(place):
    with (place / "w" / "runs.csv").open() as file:
        return [(row["seed"], row["method"]) for row in csv.DictReader(file)]


def test_resources_are_no_part_of_an_experiment():
    plain = sweep.expand(TABLE)
    for found in (TABLE | {"engine": {"gpus": 0.5}}, TABLE | {"engine": {}}):
        assert [schema.digest(p.experiment) for p in sweep.expand(found)] == [
            schema.digest(p.experiment) for p in plain
        ]
    assert resources_of(TABLE) == Resources(gpus=None, cpus=1)
    assert resources_of({"engine": {"gpus": 2, "cpus": 4}}) == Resources(gpus=2.0, cpus=4)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"gpus": 1.5}, "engine.gpus: expected a part of one GPU or whole ones, got 1.5"),
        ({"gpus": -1}, "engine.gpus: Expected `float` >= 0"),
        ({"cpus": 0}, "engine.cpus: Expected `int` >= 1"),
        ({"cpus": 0.5}, "engine.cpus: Expected `int`"),
        ({"cpu": 1}, "did you mean 'engine.cpus'"),
        (3, "engine: expected a table"),
    ],
)
def test_resources_that_cannot_be(section, message):
    with pytest.raises(ConfigError, match=message):
        resources_of({"engine": section})


def test_points_are_tasks_and_one_that_dies_is_tried_once_more(place, capsys, monkeypatch):
    write(place, gpus=0.5, cpus=2)
    cluster = ray_stand_in.install(monkeypatch, deaths=["seed-0"], GPU=1.0)
    status, out, err = call(capsys, *RAY)
    assert (status, err) == (0, "")
    assert cluster.options == {"num_cpus": 2, "num_gpus": 0.5, "max_retries": 0} and cluster.ended
    assert "Ray: 2 CPU, 0.5 GPU for each point, 1 at once" in out
    said = "point 1 of 2: seed 0: it failed and is tried once more (RuntimeError: the worker died)"
    assert out.count("tried once more") == 1 and said in out
    assert os.environ["XLA_CLIENT_MEM_FRACTION"] == "0.450"
    # In the order of the sweep, whatever came first.
    assert runs(place) == [(s, m) for s in "01" for m in ("original", "finetune")]
    said = (place / "w" / "points" / "seed-0" / "output.txt").read_text()
    assert "original: " in said and "in steps" in said
    # It is the same sweep without Ray and its section.
    write(place)
    status, out, err = call(capsys, *SWEEP, "--shard", "0/2")
    assert (status, err) == (0, "") and "4 of them done" in out and "in steps" not in out


def test_what_fails_twice_is_named_and_the_others_go_on(place, capsys, monkeypatch):
    cluster = ray_stand_in.install(monkeypatch, deaths=["seed-0", "seed-0"])
    status, out, err = call(capsys, *RAY)
    assert (status, err) == (1, "junlearn: seed 0: RuntimeError: the worker died\n")
    assert len(cluster.tasks) == 3 and cluster.options["num_gpus"] == 0.0
    assert runs(place) == [("1", "original"), ("1", "finetune")]
    # The same command again makes what is missing; with a shard, of its points alone.
    cluster = ray_stand_in.install(monkeypatch)
    status, out, err = call(capsys, *RAY, "--shard", "0/2")
    assert (status, err, len(cluster.tasks)) == (0, "", 1) and "shard 0/2: 1 of the 2 points" in out
    assert "point 1 of 1: seed 0: 2 of 2 networks" in out


def test_errors_that_the_driver_may_not_know_are_what_they_say():
    class Own(Exception):
        pass

    Own.__module__ = "my_method"
    for error, said in ((Own("too hot"), "Own: too hot"), (ValueError(lambda: 0), "ValueError: <")):
        found = on_ray._portable(error)
        assert type(found) is RuntimeError and str(found).startswith(said)
    assert type(on_ray._portable(ConfigError("no"))) is ConfigError


def test_what_diverges_is_not_tried_again(place, capsys, monkeypatch):
    table = TABLE | {"method": {"finetune": {"epochs": 1, "learning_rate": 1e35}}}
    (place / "grid.json").write_text(json.dumps(table))
    cluster = ray_stand_in.install(monkeypatch)
    status, out, err = call(capsys, *RAY, "--shard", "0/2")
    assert status == 1 and err.startswith("junlearn: seed 0, finetune: the run diverged")
    assert len(cluster.tasks) == 1 and "seed 0: 1 of 2 networks" in out


def test_an_interrupt_cancels_the_points(place, capsys, monkeypatch):
    cluster = ray_stand_in.install(monkeypatch, interrupt_at=2)
    status, out, err = call(capsys, *RAY)
    assert (status, err) == (130, "junlearn: interrupted; the same command goes on\n")
    assert cluster.cancelled == [(1, False)] and cluster.ended
    assert "Ray: 1 point is cancelled; what trains saves where it is" in out
    # What was measured before is kept.
    assert runs(place) == [("0", "original"), ("0", "finetune")]


def test_a_point_that_another_run_is_at_comes_last(place, capsys, monkeypatch):
    directory = place / "w" / "points" / "seed-0"
    directory.mkdir(parents=True)
    cluster = ray_stand_in.install(monkeypatch)
    with open(directory / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(1.0, fcntl.flock, (lock, fcntl.LOCK_UN))
        timer.start()
        status, out, err = call(capsys, *RAY)
        timer.join()
    assert (status, err) == (0, "") and "another run is at it, the others come first" in out
    told = [(order.folder, order.waiting) for _, order in cluster.tasks]
    assert told == [("seed-0", False), ("seed-1", False), ("seed-0", True)]
    assert (directory / "records.jsonl").exists()


def test_what_cannot_be_is_said_before_anything(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, out, err = call(capsys, *RAY)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "needs Ray, which is not installed: python -m pip install 'junlearn[ray]'" in err
    ray_stand_in.install(monkeypatch)
    write(place, gpus=1)
    status, _, err = call(capsys, *RAY)
    assert status == 2 and "[engine] asks for 1 CPU, 1 GPU" in err and "2 CPU, 0 GPU" in err
    monkeypatch.setenv("RAY_ADDRESS", "localhost:1")
    status, out, err = call(capsys, *RAY)
    assert (status, out) == (2, "") and "nobody answers at RAY_ADDRESS=localhost:1" in err
    loop = {"distributed": True, "devices": "all"}
    (place / "grid.json").write_text(json.dumps(TABLE | {"loop": loop}))
    status, out, err = call(capsys, *RAY)
    assert (status, out) == (2, "") and "loop.distributed is for processes that are started" in err
    assert not (place / "w").exists()


TWO_WORKERS = """
import sys
import ray
ray.init(num_cpus=2, include_dashboard=False)
from junlearn.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_two_workers_of_a_real_cluster(place):
    pytest.importorskip("ray")
    done = subprocess.run(
        [sys.executable, "-c", TWO_WORKERS, *RAY],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Ray: 1 CPU for each point, 2 at once" in done.stdout
    assert done.stdout.count(": 2 of 2 networks") == 2 and "tried once more" not in done.stdout
    assert runs(place) == [(s, m) for s in "01" for m in ("original", "finetune")]
