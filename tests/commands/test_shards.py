"""Sweeps in several jobs: which points each of them takes, and that all of it is one table in the end."""

import fcntl
import json
import threading

import pytest

from junlearn.errors import ConfigError
from junlearn.experiment.sharding import Shard, shard_of
from tests import small_run, tiny_run
from tests.small_run import call


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A sweep of three points, `grid.json`."""
    small_run.enter(tmp_path, monkeypatch)
    grid = {"seed": [0, 1, 2]}
    (tmp_path / "grid.json").write_text(json.dumps(tiny_run.CONFIG | {"sweep": grid}))
    return tmp_path


SWEEP = ("sweep", "--config", "grid.json", "--workdir", "w")


def test_the_parts_of_all_shards_are_everything_once():
    things = list(range(11))
    parts = [Shard(number, 4).part(things) for number in range(4)]
    assert parts == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7]]
    assert Shard(0, 1).part(things) == things and Shard(11, 12).part(things) == []
    assert shard_of("3/4") == (3, 4)


@pytest.mark.parametrize(
    "text", ["3", "5/4", "4/4", "0/0", "a/b", "-1/4", "0/", "1/2/3", " 0/2", ""]
)
def test_what_is_no_shard_is_refused(text, place, capsys):
    with pytest.raises(ConfigError, match="expected I/N with I from 0 to N - 1"):
        shard_of(text)
    status, out, err = call(capsys, *SWEEP, f"--shard={text}")
    assert (status, out, err.count("\n")) == (2, "", 1) and "argument --shard: expected" in err
    assert not (place / "w").exists()


def test_shards_fill_one_directory_and_the_sweep_shows_it(place, capsys):
    status, out, err = call(capsys, *SWEEP, "--shard", "5/6")
    assert (status, err) == (0, "")
    assert "shard 5/6: none of the 3 points falls to it, nothing to do" in out
    status, out, err = call(capsys, *SWEEP, "--shard", "0/2", "--dry-run")
    assert "shard 0/2: 2 of the 3 points" in out and not (place / "w").exists()
    for shard, own in (("0/2", "02"), ("1/2", "1")):
        status, out, err = call(capsys, *SWEEP, "--shard", shard, "--select", "accuracy/test")
        assert (status, err) == (0, "")
        assert [line[-1] for line in out.splitlines() if line.startswith("point ")] == list(own)
        assert "without --shard shows all points" in out
    # A table of a part would take the place of that of all.
    assert {path.name for path in (place / "w").iterdir()} == {"points"}
    status, out, err = call(capsys, *SWEEP)
    assert (status, err) == (0, "") and "6 of them done" in out and "in steps" not in out
    assert len((place / "w" / "runs.csv").read_text().splitlines()) == 7


def test_a_point_that_another_run_is_at_comes_last(place, capsys):
    directory = place / "w" / "points" / "seed-0"
    directory.mkdir(parents=True)
    with open(directory / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Set free while the sweep waits for it, or before.
        timer = threading.Timer(1.0, fcntl.flock, (lock, fcntl.LOCK_UN))
        timer.start()
        status, out, err = call(capsys, *SWEEP, "--shard", "0/2")
        timer.join()
    assert (status, err) == (0, "")
    titles = [line for line in out.splitlines() if line.startswith(("point ", "another"))]
    assert titles == [
        "point 1 of 2: seed 0",
        "another run is at this point: the others come first",
        "point 2 of 2: seed 2",
        "point 1 of 2: seed 0",
    ]
    assert (directory / "records.jsonl").exists()
