"""What was deleted stays deleted, and what looks like it is told: rows of NaN, exact copies, near ones."""

import numpy as np
import pytest

from junlearn.ledger import beginning, scene
from junlearn.main import main
from tests.ledger.small import forget, ids, init, lines, networks, one_line, opened

COPY, OTHER = 40, 41
"""Rows that show the images of rows 0 and 7."""


@pytest.fixture
def floats(monkeypatch):
    """Digits as floats, which can be NaN, with two exact copies."""
    read = scene.read

    def changed(*arguments):
        dataset, surrogate = read(*arguments)
        train, test = (dataset.sources[name] for name in ("train", "test"))
        x = train.x.astype(np.float32) / 255
        x[COPY], x[OTHER] = x[0], x[7]
        sources = {
            "train": train._replace(x=x),
            "test": test._replace(x=test.x.astype(np.float32) / 255),
        }
        return dataset._replace(sources=sources), surrogate

    for module in (beginning, scene):
        monkeypatch.setattr(module, "read", changed)


def numbers(place):
    """All that the lines say of networks."""
    kept = ("kind", "network", "metrics", "retained", "deleted", "twins", "because")
    return [{name: line[name] for name in kept if name in line} for line in lines(place)]


def as_it_is(dataset, rows):
    return dataset


def poisoned(dataset, rows):
    """Whoever reads a deleted row gets NaN, and a label that gives NaN."""
    train = dataset.sources["train"]
    x, y = np.array(train.x), np.array(train.y)
    x[list(rows)], y[list(rows)] = np.nan, -(10**6)
    return dataset._replace(sources={**dataset.sources, "train": train._replace(x=x, y=y)})


@pytest.mark.parametrize("method", ["finetune", "sisa"])
def test_no_later_step_reads_what_was_deleted(tmp_path, floats, monkeypatch, capsys, method):
    """Not the methods, the retraining, the metrics, the copies or the likenesses."""
    changes = {}
    if method == "sisa":
        recipe = {"shards": 3, "slices": 2, "epochs": 1, "batch_size": 128}
        changes = {"methods": ["sisa"], "method": {"sisa": recipe}}
    told, out = [], []
    ways = [("clean", as_it_is), ("poisoned", poisoned), ("blank", scene.without)]
    for name, without in ways if method == "finetune" else ways[:2]:
        place = tmp_path / name
        place.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(scene, "without", without)
            assert init(place, "--retrain-every", "2", **changes) == 0
            assert forget(place, ids(0, 1, 2), "--with-twins") == 0
            capsys.readouterr()
            assert forget(place, ids(3, 7), "--near", "3") == 0
            assert forget(place, ids(4)) == 0
            out.append(capsys.readouterr().out.replace(str(place), ""))
        told.append(numbers(place))
    assert all(each == told[0] for each in told) and len(told) > 1
    assert all(each == out[0] for each in out) and out[0].count("near copy") == 3
    kinds = [line["kind"] for line in told[0]]
    assert kinds.count("retrain") == (1 if method == "finetune" else 0)


def test_exact_copies_are_told_and_taken_along(tmp_path, floats, capsys):
    assert init(tmp_path) == 0
    assert forget(tmp_path, ids(7)) == 0
    (copy, other) = ids(COPY, OTHER)
    said = capsys.readouterr().out
    assert (
        f"1 image is an exact copy of images of the request, retained; --with-twins takes them along: {other}"
        in said
    )
    assert forget(tmp_path, ids(0), "--with-twins") == 0
    assert f"deleted along: {copy}" in capsys.readouterr().out
    one, two = lines(tmp_path)[1:]
    assert one["twins"] == {"count": 1, "taken": False, "names": [str(other)]}
    assert one["deleted"] == 1 and one["retained"] == 1436
    assert two["twins"] == {"count": 1, "taken": True, "names": [str(copy)]}
    assert two["deleted"] == 3 and two["retained"] == 1434 and two["request"]["count"] == 1
    # Taken along it is deleted, retained it can be deleted later.
    assert forget(tmp_path, [copy]) == 2 and forget(tmp_path, [other]) == 0


def test_near_copies_are_told_with_their_distance(tmp_path, floats, capsys):
    assert init(tmp_path) == 0
    assert forget(tmp_path, ids(0), "--near", "2", "--dry-run") == 0
    near = [line for line in capsys.readouterr().out.splitlines() if "near copy" in line]
    (copy,), (asked,) = ids(COPY), ids(0)
    assert near[0] == f"near copy, retained: {copy} of {asked}, distance 0.0000" and len(near) == 2
    assert float(near[1].rpartition(" ")[2]) >= 0


def test_a_whole_private_ledger(tmp_path, floats):
    assert init(tmp_path, "--private") == 0
    assert forget(tmp_path, ids(7)) == 0
    line = lines(tmp_path)[1]
    names = [*line["request"]["names"], *line["twins"]["names"]]
    assert len(names) == 2 and all(name.startswith("blake2b:") for name in names)


def test_sisa_trains_the_shards_concerned_alone(tmp_path, capsys):
    recipe = {"shards": 3, "slices": 2, "epochs": 1, "batch_size": 128}
    changes = {"methods": ["sisa"], "method": {"sisa": recipe}}
    assert init(tmp_path, "--retrain-every", "1", **changes) == 0
    before = opened(tmp_path).current().variables.params["head"]["kernel"]
    assert forget(tmp_path, ids(0)) == 0
    assert "1 of 3 shards are trained anew" in capsys.readouterr().out
    after = opened(tmp_path).current().variables.params["head"]["kernel"]
    assert sorted(bool((a == b).all()) for a, b in zip(before, after, strict=True)) == [
        *(False, True, True)
    ]
    line, decision = lines(tmp_path)[1:]
    assert line["exact"] and not decision["retrain"]
    assert decision["because"] == "the network is exact"
    to = str(tmp_path / "now.safetensors")
    assert main(["ledger", "export", str(tmp_path / "ledger"), "--to", to]) == 2
    one_line(capsys, "the shards of sisa are several")


def test_drift_by_distance(tmp_path):
    """A small allowance is used up by the first request; without the last exact network it is used up, too."""
    assert init(tmp_path, "--drift", "distance:0.000001") == 0
    assert forget(tmp_path, ids(0)) == 0
    found = lines(tmp_path)
    assert [line["kind"] for line in found] == ["init", "forget", "decision", "retrain"]
    assert found[1]["metrics"]["distance"] > 0 and "distance drifted by" in found[2]["because"]
    other = tmp_path / "other"
    other.mkdir()
    assert init(other, "--drift", "distance:1000") == 0
    assert forget(other, ids(0), "--purge") == 0 and forget(other, ids(1)) == 0
    found = lines(other)
    assert [line["kind"] for line in found[3:]] == ["purge", "forget", "decision", "retrain"]
    assert "is not known" in found[5]["because"]
    assert networks(other)[-1] != networks(tmp_path)[-1]


def test_an_exact_method_is_never_retrained(tmp_path):
    changes = {"methods": ["retrain"], "method": {"retrain": {"epochs": 1, "batch_size": 256}}}
    assert init(tmp_path, "--retrain-every", "1", **changes) == 0
    assert forget(tmp_path, ids(0)) == 0
    assert [line["kind"] for line in lines(tmp_path)] == ["init", "forget", "decision"]
    assert opened(tmp_path).status()["exact"]
