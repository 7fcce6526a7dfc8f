"""Networks of `train_many` in a directory: kept as they come, grown, killed, damaged, and never another training's."""

import errno
from dataclasses import replace

import jax
import numpy as np
import pytest

import junlearn
from junlearn.engine import network_file
from junlearn.engine.checkpoint import Store
from junlearn.errors import CheckpointError, ConfigError
from junlearn.many import train_many
from junlearn.methods import retrain
from tests.kills import Killed, Syncs, sync_by
from tests.test_many import SETS

CONFIG = retrain.Config(epochs=2, batch_size=8, augment=False)
ROWS = [SETS[i % 4] for i in range(6)]


@pytest.fixture
def train(mlp, tmp_path):
    """`train(count, **options)`: that many networks, kept in `tmp_path / "kept"`, two places a chunk."""

    def run(count=6, config=CONFIG, **options):
        options = {"how": "vmap", "places": 2, "store": tmp_path / "kept", "seeds": 3} | options
        sources = options.pop("sources", mlp.sources)
        return train_many(config, options.pop("model", mlp.model), sources, ROWS[:count], **options)

    return run


def assert_same_bits(one, other, count=None):
    for a, b in zip(jax.tree.leaves(one.variables), jax.tree.leaves(other.variables), strict=True):
        np.testing.assert_array_equal(a[:count], b[:count])
    assert one.history[:count] == other.history[:count]


def stamps(place):
    return {path.name: path.stat().st_mtime_ns for path in place.glob("*.npz")}


def test_a_larger_set_trains_what_is_new(train, tmp_path):
    """From 3 to 6: the first chunk is as it was, and the rest of the second one comes."""
    counts, told = [], []
    first = train(3, store=str(tmp_path / "kept"))
    before = stamps(tmp_path / "kept")
    log = type("Log", (), {"log": lambda self, values, step: told.append((*values, step))})()
    grown = train(6, progress=lambda *count: counts.append(count), log=log)
    after = stamps(tmp_path / "kept")
    assert len(after) == 6
    assert {name: after[name] for name in before} == before
    assert_same_bits(grown, first, 3)
    # Network 2 is trained again beside network 3, as in one call, and not kept again.
    assert counts[-1] == (2 * (4 + 5) + 2 * (6 + 3), 2 * (4 + 5) + 2 * (6 + 3))
    assert {names[0].split("/")[0] for *names, _ in told} == {"3", "4", "5"}
    assert min(step for *_, step in told) > 2 * (6 + 3 + 4)
    assert_same_bits(grown, train(6, store=None))
    # And a smaller one reads the first.
    counts.clear()
    assert_same_bits(train(2, progress=lambda *count: counts.append(count)), grown, 2)
    assert counts == [] and stamps(tmp_path / "kept") == after


@pytest.mark.parametrize("how", ["vmap", "loop"])
def test_a_kill_costs_the_chunk_in_progress(train, tmp_path, monkeypatch, how):
    whole = train(how=how, store=None)
    syncs, kills = Syncs(monkeypatch, left=1), 0
    while True:
        there = stamps(tmp_path / "kept")
        try:
            found = train(how=how)
            break
        except Killed:
            # The files that were there are untouched, and the ones before the kill stay.
            kept = stamps(tmp_path / "kept")
            assert there.items() <= kept.items() and not list((tmp_path / "kept").glob(".*"))
            kills, syncs.left = kills + 1, 3
    assert kills == 3
    assert_same_bits(found, whole)


def test_a_full_disk_is_one_line(train, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    sync_by(monkeypatch, full)
    with pytest.raises(
        CheckpointError, match=r"cannot write .*00000.npz \(No space left.*are kept"
    ):
        train()


def test_a_damaged_network_is_made_again(train, tmp_path, caplog):
    whole = train(4)
    path = tmp_path / "kept" / "00001.npz"
    path.write_bytes(path.read_bytes()[:-40])
    assert_same_bits(train(4), whole)
    assert "00001.npz is damaged" in caplog.text and "00001.npz.damaged" in caplog.text
    assert len(stamps(tmp_path / "kept")) == 4


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"config": replace(CONFIG, epochs=3)}, "recipe.epochs"),
        ({"keys": jax.random.key(1)}, "key"),
        ({"seeds": 4}, "seed"),
        ({"model": junlearn.MODELS["mlp"]}, "network, model or views"),
        ({"views": {"eval": lambda data, keys: data.x * 0.5}}, "model or views"),
        ({"sources": None}, "data"),
        ({"store": "bob"}, "owner"),
    ],
)
def test_another_training_is_refused(train, mlp, tmp_path, monkeypatch, options, named):
    train(2, store=Store(tmp_path / "kept", "alice"))
    before = stamps(tmp_path / "kept")
    if "model" in options:
        mlps = options["model"]
        options = {
            "model": mlps.make(mlps.Config(hidden=(3,)), 4, mlp.sources["train"].x.shape[1:])
        }
    if "sources" in options:
        data = mlp.sources["train"]
        options = {"sources": {"train": data._replace(y=np.asarray(data.y)[::-1])}}
    if "store" in options:
        options = {"store": Store(tmp_path / "kept", options["store"])}
    monkeypatch.setattr("junlearn.engine.trainings.ManyTrainer", pytest.fail)
    with pytest.raises(CheckpointError, match=rf"00000.npz is of another training \({named}\): "):
        train(2, **options)
    assert stamps(tmp_path / "kept") == before


def test_the_way_of_those_that_are_there_is_gone_on_with(train, tmp_path, monkeypatch):
    """Nothing is timed, and the places are theirs."""
    train(2, how="map")
    monkeypatch.setattr("junlearn.engine.trainings.fastest", pytest.fail)
    assert train(4, how="auto", places=None).how == "map"
    file = network_file.read(tmp_path / "kept" / "00003.npz", "a network of train_many")
    assert (file.about["how"], file.about["places"]) == ("map", 2)


def test_fewer_places_where_memory_is_short(train, tmp_path):
    result = train(4, places=4, memory=200_000)
    assert result.chunk < 4
    assert_same_bits(train(4), result)


def test_from_the_library(mlp, tmp_path):
    recipe = {"epochs": 1, "batch_size": 16, "augment": False, "how": "vmap"}
    data, place = mlp.sources["train"], tmp_path / "kept"
    first = junlearn.train_many(mlp.model, data, SETS[:2], store=place, **recipe)
    again = junlearn.train_many(mlp.model, data, SETS[:2], store=place, **recipe)
    assert_same_bits(first, again)
    assert again.seconds["run"] == 0 and again.how == "vmap"
    assert "all read from where they are kept" in str(again)
    for wrong, message in (
        ({"store": 3}, "train_many: store is an int: a directory is wanted"),
        ({"places": 0}, "train_many: places is 0: a whole number from 1 on"),
    ):
        with pytest.raises(ConfigError, match=message):
            junlearn.train_many(mlp.model, data, SETS[:2], **recipe | wrong)
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="file is no directory"):
        junlearn.train_many(mlp.model, data, SETS[:2], store=tmp_path / "file", **recipe)
