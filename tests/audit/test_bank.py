"""One file a network: whole, sealed, in its place; what is damaged is named and put aside."""

import json
import zipfile

import numpy as np
import pytest

from junlearn.audit.bank import Bank, Place
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import ConfigError
from junlearn.types import Variables

PLACE = Place("retrain", 3)
WEIGHTS = Variables({"a": np.arange(6.0).reshape(2, 3), "b": np.ones(2)}, {})


def network(value=1.0, leaves=()):
    logits = np.full((4, 3), value, np.float32)
    return NetworkFile({"ensemble": "retrain", "number": 3}, {"logits": logits}, leaves)


@pytest.fixture
def said():
    return []


@pytest.fixture
def bank(tmp_path, said):
    return Bank(tmp_path, {"bank": "request", "dataset": {"name": "digits"}}, said.append)


def test_a_network_comes_back(bank):
    assert bank.read(PLACE) is None and bank.about(PLACE) is None
    bank.write(PLACE, network(), 1.5)
    found = bank.read(PLACE)
    np.testing.assert_array_equal(found.outputs["logits"], network().outputs["logits"])
    assert bank.about(PLACE) == {"ensemble": "retrain", "number": 3} and found.diverged == ""
    assert bank.seconds() == {"retrain-00003": 1.5}
    assert bank.seconds_each("retrain", 4) == 1.5 and bank.seconds_each("twin", 4) == 0


def test_what_is_there_keeps_its_bytes(bank):
    bank.write(PLACE, network(), 1)
    before = bank.path(PLACE).read_bytes()
    bank.write(PLACE, network(2.0), 1)
    assert bank.path(PLACE).read_bytes() == before


def test_equal_networks_are_equal_bytes(bank, tmp_path):
    other = Bank(tmp_path / "other", bank.identity, print)
    for each in (bank, other):
        each.write(PLACE, network(), np.random.default_rng().random())
    assert bank.path(PLACE).read_bytes() == other.path(PLACE).read_bytes()


def test_weights_come_back_in_their_tree(bank):
    leaves = (WEIGHTS.params["a"], WEIGHTS.params["b"])
    bank.write(PLACE, network(leaves=leaves), 1)
    assert bank.read(PLACE).leaves == ()
    found = bank.weights(PLACE, WEIGHTS)
    np.testing.assert_array_equal(found.params["a"], WEIGHTS.params["a"])
    with pytest.raises(ConfigError, match="no weights of this network"):
        bank.weights(PLACE, Variables({"a": np.ones(2)}, {}))
    with pytest.raises(ConfigError, match=r"retrain-00004 of bank \w+ is gone"):
        bank.weights(Place("retrain", 4), WEIGHTS)


def damage(path, how):
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a bit":
        where = content.index(np.float32(1.0).tobytes())
        path.write_bytes(content[: where + 3] + b"\x40" + content[where + 4 :])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("logits.npy", b"x")


@pytest.mark.parametrize("how", ["cut", "empty", "a bit", "another archive"])
def test_a_damaged_file_is_named_and_put_aside(bank, said, how):
    bank.write(PLACE, network(), 1)
    damage(bank.path(PLACE), how)
    assert bank.read(PLACE) is None
    assert len(said) == 1 and "retrain-00003 of bank" in said[0] and "made again" in said[0]
    assert [p.name for p in bank.directory.glob("*.npz.damaged")] == ["retrain-00003.npz.damaged"]
    bank.write(PLACE, network(), 1)
    assert bank.read(PLACE) is not None


def test_a_file_of_another_place_or_bank_is_none_of_ours(bank, tmp_path, said):
    bank.write(PLACE, network(), 1)
    other = Bank(tmp_path, {"bank": "request", "epochs": 2}, said.append)
    assert other.hash != bank.hash
    other.directory.mkdir()
    for target in (other.path(PLACE), bank.path(Place("retrain", 4))):
        target.write_bytes(bank.path(PLACE).read_bytes())
    assert other.read(PLACE) is None and bank.read(Place("retrain", 4)) is None
    assert all("checksum does not fit" in line for line in said) and len(said) == 2


def test_notes_add_up_and_say_what_the_bank_is(bank, said):
    assert bank.notes() == {}
    bank.note(how="vmap")
    bank.note(places=8)
    assert bank.notes() == {"how": "vmap", "places": 8}
    content = json.loads((bank.directory / "bank.json").read_text())
    assert (content["dataset"], content["role"]) == ("digits", "request")
    (bank.directory / "bank.json").write_text("{}")
    assert bank.notes() == {} and "is damaged" in said[0]


def test_times_that_cannot_be_read_are_left_out(bank):
    bank.write(PLACE, network(), 2)
    with (bank.directory / "made.jsonl").open("a") as file:
        file.write('{"file": "x"}\nnonsense\n')
    assert bank.seconds() == {"retrain-00003": 2}
