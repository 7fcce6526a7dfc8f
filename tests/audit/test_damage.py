"""What is damaged in a bank is named and made again, and nothing else is lost; what is not ours is left alone."""

import json
import os
import shutil

import numpy as np
import pytest

from junlearn.engine import network_file
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import ConfigError
from tests.audit.small import METHODS, audited, folder, made, networks, numbers
from tests.kills import sync_by


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("bank")
    return place, audited(place)[0]


@pytest.fixture
def bank(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "bank")


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def another_bit(path):
    content = bytearray(path.read_bytes())
    with np.load(path) as archive:
        where = bytes(content).rindex(archive["logits"].tobytes()[-8:])
    content[where] ^= 1
    path.write_bytes(bytes(content))


def of_another_place(path):
    path.write_bytes(next(p for p in path.parent.glob("*.npz") if p != path).read_bytes())


def another_bit_of_the_weights(path):
    content = bytearray(path.read_bytes())
    with np.load(path) as archive:
        where = bytes(content).rindex(archive["w00000"].tobytes()[-8:])
    content[where] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut, another_bit, of_another_place])
@pytest.mark.parametrize("name", ["original-00002", "twin-00007", "unlearned/*/00003"])
def test_a_damaged_network_is_named_and_made_again(whole, bank, damage, name):
    path = next(bank.glob(f"*/{name}.npz"))
    damage(path)
    found, said = audited(bank)
    place = name.replace("*", path.parent.name)
    assert (
        said.count("\n") == 1 and f"audit: {place} of bank {path.parts[-2][:4]}" in said
    ) or "*" in name
    assert f"{place} of bank" in said and "is damaged" in said and "made again" in said
    assert networks(bank) == networks(whole[0]) and numbers(found) == numbers(whole[1])
    assert made(bank) == 33 and path.with_name(f"{path.name}.damaged").exists()


def test_damaged_weights_are_found_before_they_are_needed(whole, bank):
    another_bit_of_the_weights(next(bank.glob("*/original-00002.npz")))
    _, said = audited(bank)
    assert said == ""
    shutil.rmtree(next(bank.glob("*/unlearned")))
    _, said = audited(bank)
    assert "original-00002 of bank" in said and said.count("damaged (") == 1
    assert networks(bank) == networks(whole[0])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, None])
def test_notes_and_lines_that_cannot_be_read_cost_nothing_else(whole, bank, content):
    for name in ("bank.json", "made.jsonl"):
        for path in bank.glob(f"*/{name}"):
            path.write_bytes(content) if content is not None else path.unlink()
    found, said = audited(bank)
    assert said.count("bank.json is damaged") == (0 if content is None else 2)
    assert networks(bank) == networks(whole[0]) and numbers(found) == numbers(whole[1])
    for path in bank.glob("*/bank.json"):
        assert json.loads(path.read_text())["notes"] == notes(whole[0] / path.parent.name)
    assert audited(bank)[1] == ""


def notes(directory):
    return json.loads((directory / "bank.json").read_text())["notes"]


def rewritten(path, bank, **changes):
    """A network's file with something else in it, sealed as its own."""
    belongs = f"{path.relative_to(bank).with_suffix('')}".replace(".npz", "")
    found = network_file.read(path, belongs, with_weights=True)
    about = {**found.about, **changes.pop("about", {})}
    network_file.write(
        path, NetworkFile(about, changes.get("outputs", found.outputs), found.leaves), belongs
    )


def test_a_reference_that_saw_other_rows_is_refused(bank):
    path = next(bank.glob("*/retrain-00007.npz"))
    rewritten(path, bank, about={"trained_on": "0" * 32})
    with pytest.raises(ConfigError, match=r"retrain-00007\.npz was trained on other rows"):
        audited(bank)


def test_so_is_an_unlearned_one_that_forgot_others(bank):
    path = next(bank.glob("*/unlearned/*/00004.npz"))
    rewritten(path, bank, about={"forgets": "0" * 32})
    with pytest.raises(ConfigError, match=r"00004\.npz .* or forgot others: delete it"):
        audited(bank)


@pytest.mark.parametrize(
    ("one", "other"), [("retrain-00003", "twin-00003"), ("original-00001", "retrain-00000")]
)
def test_one_network_on_two_sides_is_refused(bank, one, other):
    belongs = next(bank.glob(f"*/{one}.npz"))
    source = network_file.read(belongs, str(belongs.relative_to(bank).with_suffix("")))
    outputs = source.outputs
    if one.startswith("original"):
        # Of an original all examples are kept: those of the other are a part of them.
        outputs = network_file.read(
            next(bank.glob("*/retrain-00001.npz")), f"{folder(bank, 'retrain').name}/retrain-00001"
        ).outputs
        one = "retrain-00001"
    rewritten(next(bank.glob(f"*/{other}.npz")), bank, outputs=outputs)
    first, second = sorted([one, other])
    with pytest.raises(
        ConfigError,
        match=f"audit: {first} and {second} are the same network: the null halves must not share seeds",
    ):
        audited(bank)


def test_an_unlearned_network_that_is_a_retrained_one_is_refused(bank):
    path = next(bank.glob("*/retrain-00005.npz"))
    outputs = network_file.read(path, str(path.relative_to(bank).with_suffix(""))).outputs
    rewritten(next(bank.glob("*/unlearned/*/00002.npz")), bank, outputs=outputs)
    with pytest.raises(ConfigError, match="retrain-00005 and gentle-00002 are the same network"):
        audited(bank)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (np.full((34, 4), np.nan, np.float32), "NaN or infinite"),
        (np.ones((34, 3), np.float32), "another number of classes"),
        (np.ones((34, 1), np.float32), "1 logit"),
        (np.ones((20, 4), np.float32), "20 rows of outputs, too few"),
    ],
)
def test_outputs_that_cannot_be_judged_are_refused_by_the_name_of_the_file(bank, outputs, message):
    for number in (3,) if "another" in message else (0, 3):
        path = next(bank.glob(f"*/retrain-0000{number}.npz"))
        rewritten(path, bank, outputs={"logits": outputs})
    with pytest.raises(ConfigError, match=message) as caught:
        audited(bank)
    assert f"{path.parent}/retrain-0000" in str(caught.value)


def test_files_of_somebody_else_are_no_networks(whole, bank):
    for directory in [*bank.iterdir(), next(bank.glob("*/unlearned"))]:
        (directory / "photo.npz").write_bytes(b"mine")
        (directory / "retrain-3.npz").write_bytes(b"mine")
    found, said = audited(bank)
    assert said == "" and numbers(found) == numbers(whole[1])
    assert all((p / "photo.npz").read_bytes() == b"mine" for p in bank.iterdir())


def test_a_file_in_the_place_of_a_bank_or_of_a_folder_is_one_line(bank):
    directory = folder(bank, "retrain")
    shutil.rmtree(directory)
    directory.write_text("mine")
    with pytest.raises(OSError, match=directory.name):
        audited(bank)
    assert directory.read_text() == "mine"


def test_a_file_that_cannot_be_opened_is_not_taken_for_damaged(bank, monkeypatch):
    path = next(bank.glob("*/twin-00001.npz"))
    whole = type(path).open

    def refused(self, *arguments, **options):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self, *arguments, **options)

    monkeypatch.setattr(type(path), "open", refused)
    with pytest.raises(PermissionError, match="twin-00001"):
        audited(bank)
    assert path.exists() and not list(bank.rglob("*.damaged"))


def test_a_full_disk_loses_nothing(whole, tmp_path, monkeypatch):
    sync, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) in (1, 20, 60):
            raise OSError(28, "No space left on device")
        return sync(descriptor)

    sync_by(monkeypatch, fsync)
    before: dict[str, bytes] = {}
    for _ in range(3):
        with pytest.raises(OSError, match="No space left on device"):
            audited(tmp_path, methods=METHODS)
        assert before.items() <= networks(tmp_path).items()
        before = networks(tmp_path)
        assert not list(tmp_path.rglob(".*.tmp"))
    found, _ = audited(tmp_path)
    assert networks(tmp_path) == networks(whole[0]) and numbers(found) == numbers(whole[1])
