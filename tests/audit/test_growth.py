"""Banks grow, are shared and are killed: nothing is trained twice, and the bytes are the same at the end."""

import shutil

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from junlearn.audit import growth
from junlearn.types import Split
from tests.audit.small import METHODS, SPLIT, audited, folder, made, networks, numbers
from tests.kills import Killed, Syncs

LATER = METHODS | {"ascent": {"method": "neggrad", "epochs": 1, "batch_size": 24}}
KINDS = ("original", "retrain", "twin")


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    place = tmp_path_factory.mktemp("bank")
    return place, audited(place)


@pytest.fixture(scope="module")
def sixteen(eight, tmp_path_factory):
    place = shutil.copytree(eight[0], tmp_path_factory.mktemp("grown") / "bank")
    return place, audited(place, models=16)


@pytest.fixture
def bank(eight, tmp_path):
    return shutil.copytree(eight[0], tmp_path / "bank")


@pytest.fixture
def untrained(monkeypatch):
    """Nobody trains here."""

    def train_each(*arguments, **options):
        raise AssertionError("a network is trained")

    monkeypatch.setattr(growth, "train_each", train_each)


def test_a_bank_has_a_file_for_each_network(eight):
    place, (found, _) = eight
    assert made(place) == len(networks(place)) == 32
    assert [row["models"]["compared"] for row in found.rows] == [8, 8, 8]
    for kind in KINDS:
        assert len(list(folder(place, kind).glob(f"{kind}-*.npz"))) == 8


def test_the_same_again_makes_nothing(eight, bank, untrained):
    again, said = audited(bank)
    assert networks(bank) == networks(eight[0]) and made(bank) == 32
    assert numbers(again) == numbers(eight[1][0]) and said == ""


def test_a_larger_bank_keeps_what_is_there(eight, sixteen):
    before, after = networks(eight[0]), networks(sixteen[0])
    assert len(after) == made(sixteen[0]) == 64
    assert {name: after[name] for name in before} == before
    assert [row["models"]["compared"] for row in sixteen[1][0].rows] == [16, 16, 16]


def test_it_is_the_bank_that_is_made_at_once(sixteen, tmp_path):
    audited(tmp_path, models=16)
    assert networks(tmp_path) == networks(sixteen[0])


def test_a_bank_that_ends_within_a_chunk_grows_alike(sixteen, bank):
    audited(bank, models=11)
    assert len(networks(bank)) == 44
    audited(bank, models=16)
    assert networks(bank) == networks(sixteen[0]) and made(bank) == 64


def test_of_a_larger_bank_the_first_are_used(eight, sixteen, untrained):
    found, _ = audited(sixteen[0], models=8)
    assert numbers(found) == numbers(eight[1][0])


def test_a_method_that_comes_later_costs_its_own_unlearnings(eight, bank, untrained):
    found, _ = audited(bank, methods=LATER)
    assert made(bank) == 40 and len(networks(bank)) == 40
    assert {n: b for n, b in networks(bank).items() if "neggrad" not in n} == networks(eight[0])
    assert numbers(found)[:3] == numbers(eight[1][0]) and found.rows[3]["method"] == "ascent"


def test_another_request_has_the_same_originals(eight, bank):
    split = Split(np.arange(4, 9), np.setdiff1d(np.arange(48), np.arange(4, 9)), *SPLIT[2:])
    audited(bank, split=split)
    assert made(bank) == 32 + 24 and len(list(bank.iterdir())) == 3
    assert len(list(bank.glob("*/original-*.npz"))) == 8


def test_another_recipe_or_seed_has_a_bank_of_its_own(eight, bank):
    before = {path.name for path in bank.iterdir()}
    audited(bank, epochs=1, seed=1)
    assert len({path.name for path in bank.iterdir()} - before) == 2
    assert {n: networks(bank)[n] for n in networks(eight[0])} == networks(eight[0])


def test_several_devices_make_the_same_networks(eight, tmp_path):
    """To rounding: the three ensembles of eight, a chunk on each device at a time, and what unlearns of them."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    found, _ = audited(tmp_path, mesh=mesh)
    names = sorted(networks(eight[0]))
    assert sorted(networks(tmp_path)) == names and len(names) == 32
    for name in names:
        with np.load(eight[0] / name) as one, np.load(tmp_path / name) as other:
            np.testing.assert_allclose(other["logits"], one["logits"], rtol=1e-5, atol=1e-5)
    assert [row["models"]["compared"] for row in found.rows] == [8, 8, 8]


def test_killed_again_and_again_it_ends_with_the_same_bytes(eight, tmp_path, monkeypatch):
    """Before the first write, at notes, in files of each ensemble, and between a file and the line on it."""
    syncs, kills = Syncs(monkeypatch, left=1), 0
    while True:
        try:
            found, _ = audited(tmp_path)
            break
        except Killed:
            kills, syncs.left = kills + 1, (3, 5, 4, 7, 2)[kills % 5]
    assert kills > 10 and networks(tmp_path) == networks(eight[0])
    assert numbers(found) == numbers(eight[1][0])
    # A line of the log is all that a kill costs, a network never is made again.
    assert made(tmp_path) <= 32


def test_one_way_of_training_is_kept_in_a_bank(eight, bank, monkeypatch):
    """Also where it was found by measuring, which another time may end otherwise."""
    ways = []
    train_each = growth.train_each

    def watched(*arguments, **options):
        ways.append(options["how"])
        return train_each(*arguments, **options)

    monkeypatch.setattr(growth, "train_each", watched)
    for name in ("original-00001.npz", "retrain-00004.npz", "unlearned/*/00003.npz"):
        next(bank.glob(f"*/{name}")).unlink()
    for note in bank.rglob("bank.json"):
        note.unlink()
    audited(bank)
    assert len(set(ways)) == 1 and ways[0] in ("vmap", "loop")
    assert networks(bank) == networks(eight[0])
    assert len(list(bank.rglob("bank.json"))) == 3
