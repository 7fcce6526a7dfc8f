"""What a store finds in its directory: its own snapshots, what a killed save has left, and what is somebody else's."""

import json
import shutil
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import pytest
from orbax.checkpoint import v1 as ocp

from junlearn import files
from junlearn.engine import checkpoint, snapshots
from junlearn.engine.checkpoint import Store
from junlearn.engine.position import Position, read_position
from junlearn.errors import CheckpointError
from tests.kills import Killed

STATE = {"a": jnp.arange(6.0).reshape(2, 3), "b": {"c": jnp.int32(7)}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The directory of a store with two snapshots."""
    directory = tmp_path_factory.mktemp("saved") / "run"
    for n in range(2):
        checkpoint.save(Store(directory, "owner"), STATE, {"n": n})
    return directory


@pytest.fixture
def store(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "run")
    return Store(tmp_path / "run", "owner")


def listing(directory):
    return {
        name: None if (path := directory / name).is_symlink() else path.read_bytes()
        for name in files.tree(directory)
    }


def plant(path, content="mine"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


FOREIGN = {
    "a folder": lambda d: plant(d / "photos" / "a.jpg"),
    "an empty folder": lambda d: (d / "photos").mkdir(),
    "a file": lambda d: plant(d / "notes.txt"),
    "a hidden file": lambda d: plant(d / ".bashrc"),
    "a hidden folder": lambda d: plant(d / ".git" / "HEAD"),
    "a numbered folder": lambda d: plant(d / "00000007" / "a.jpg"),
    "a numbered file": lambda d: plant(d / "00000007"),
    "a folder named as Orbax does": lambda d: plant(d / "00000002.orbax-checkpoint-tmp" / "a"),
    "a folder named as a save does": lambda d: plant(d / ".00000002-0123abcd.saving" / "a"),
    "a save with a note of another folder": lambda d: plant(
        d / ".00000002-0123abcd.saving" / "junlearn.json",
        files.seal({"owner": "owner"}, ".00000002-ffffffff.saving"),
    ),
    "a save of somebody else": lambda d: plant(
        d / ".00000002-0123abcd.saving" / "junlearn.json",
        files.seal({"owner": "else"}, ".00000002-0123abcd.saving"),
    ),
    "a link to a snapshot": lambda d: (d / "00000002").symlink_to(d / "00000001"),
    "a lock that is a folder": lambda d: (d / ".lock").mkdir(),
}


def test_what_a_thread_writes_after_a_save_that_failed_is_removed_by_the_next(store):
    """The folder was gone, and its note with it."""
    late = store.directory / ".00000002-0123abcd.saving" / "00000002" / "state"
    plant(late / "manifest.ocdbt")
    plant(late / "d" / ("0" * 32))
    assert checkpoint.exists(store)
    checkpoint.save(store, STATE, {"step": 9})
    assert not late.exists()


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_directory_that_holds_other_things_is_refused_and_stays_as_it_is(store, kind):
    FOREIGN[kind](store.directory)
    before = listing(store.directory)
    for use in (
        lambda: checkpoint.save(store, STATE, {}),
        lambda: checkpoint.restore(store, STATE),
    ):
        with pytest.raises(
            CheckpointError, match="no checkpoint of this run has written"
        ) as caught:
            use()
        assert "\n" not in str(caught.value)
        assert listing(store.directory) == before
    # Finished networks may lie beside other things: whoever only reads them is not disturbed.
    assert checkpoint.restore(store._replace(owner=None), STATE)[1] == {"n": 1}


@pytest.mark.parametrize(
    "name",
    [
        "made.json",
        "made.json.damaged",
        "made.json.damaged-2",
        ".lock",
        ".DS_Store",
        "._made.json",
        "Thumbs.db",
        ".nfs0000000000a1b2c3",
        f".made.json.{'0' * 8}-1-0123abcd.tmp",
    ],
)
def test_what_the_project_and_systems_keep_there_stays(store, name):
    plant(store.directory / name)
    checkpoint.save(store, STATE, {"n": 2})
    assert checkpoint.restore(store, STATE)[1] == {"n": 2}
    assert (store.directory / name).read_text() == "mine"


@pytest.mark.parametrize("place", ["a.txt", "state/a.txt", "own/deep/a.txt", "junlearn.json.bak"])
def test_a_file_put_into_a_snapshot_is_told_and_outlives_it(store, place):
    plant(store.directory / "00000000" / place)
    checkpoint.save(store, STATE, {"n": 2})
    assert (store.directory / "00000000" / place).read_text() == "mine"
    left = files.tree(store.directory / "00000000")
    assert left == sorted([place, "junlearn.json"])
    checkpoint.save(store, STATE, {"n": 3})
    assert checkpoint.restore(store, STATE)[1] == {"n": 3}
    plant(store.directory / "00000003" / place)
    with pytest.raises(CheckpointError, match="does not belong to it"):
        checkpoint.restore(store, STATE)


def changed(change):
    def damage(path):
        content = json.loads((path / "junlearn.json").read_text())
        change(content)
        (path / "junlearn.json").write_text(json.dumps(content))

    return damage


def sealed(change):
    """With a checksum that fits: what only another version could write."""

    def damage(path):
        content = files.unseal((path / "junlearn.json").read_text(), path.name)
        change(content)
        (path / "junlearn.json").write_text(files.seal(content, path.name))

    return damage


def swapped(path):
    """Another file of the same size."""
    names = [n for n in files.tree(path) if n.startswith("state/d/")]
    content = (path / names[0]).read_bytes()
    (path / names[0]).write_bytes(content[::-1])


DAMAGED = {
    "position": changed(lambda c: c["position"].update(n=0)),
    "position gone": changed(lambda c: c.pop("position")),
    "position a list": sealed(lambda c: c.update(position=[1])),
    "files gone": sealed(lambda c: c.pop("files")),
    "files a list": sealed(lambda c: c.update(files=[])),
    "files of other types": sealed(lambda c: c.update(files={"a": "b"})),
    "files elsewhere": sealed(lambda c: c.update(files={"../00000000/junlearn.json": [1, 1]})),
    "files absolute": sealed(lambda c: c.update(files={"/etc/passwd": [1, 1]})),
    "owner a number": sealed(lambda c: c.update(owner=3)),
    "owner changed": changed(lambda c: c.update(owner="else")),
    "one file listed less": changed(lambda c: c["files"].popitem()),
    "a checksum changed": changed(lambda c: c["files"].update({"state/_METADATA": [1, 1]})),
    "of another snapshot": lambda p: shutil.copy(p.parent / "00000000" / "junlearn.json", p),
    "empty": lambda p: plant(p / "junlearn.json", ""),
    "half": lambda p: plant(p / "junlearn.json", (p / "junlearn.json").read_text()[:40]),
    "zeros": lambda p: plant(p / "junlearn.json", "\0" * 200),
    "a list": lambda p: plant(p / "junlearn.json", "[]"),
    "deep": lambda p: plant(p / "junlearn.json", "[" * 100_000),
    "text": lambda p: plant(p / "junlearn.json", "hello"),
    "not UTF-8": lambda p: (p / "junlearn.json").write_bytes(b'{"a": "\xff"}'),
    "array swapped": swapped,
    "array missing": lambda p: (p / "state" / "manifest.ocdbt").unlink(),
    "array surplus": lambda p: plant(p / "state" / "d" / ("0" * 32)),
    "array a link": lambda p: [
        (p / "state" / "_METADATA").rename(p.parent.parent / "moved"),
        (p / "state" / "_METADATA").symlink_to(p.parent.parent / "moved"),
    ],
    "arrays of another snapshot": lambda p: [
        shutil.rmtree(p / "state"),
        shutil.copytree(p.parent / "00000000" / "state", p / "state"),
    ],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_snapshot_that_was_changed_is_told_in_one_line_with_the_remedy(store, kind):
    DAMAGED[kind](store.directory / "00000001")
    before = listing(store.directory)
    with pytest.raises(
        CheckpointError, match=r"00000001 is damaged .*delete this folder"
    ) as caught:
        checkpoint.restore(store, STATE)
    assert "\n" not in str(caught.value)
    assert listing(store.directory) == before
    shutil.rmtree(store.directory / "00000001")
    assert checkpoint.restore(store, STATE)[1] == {"n": 0}


def test_a_snapshot_of_an_earlier_version_is_told(store):
    changed(lambda content: content.pop("checksum"))(store.directory / "00000001")
    for use in (
        lambda: checkpoint.restore(store, STATE),
        lambda: checkpoint.save(store, STATE, {}),
    ):
        with pytest.raises(CheckpointError, match=r"earlier version.*delete .*anew"):
            use()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"stage": 1},
        {**vars(Position()), "more": 1},
        {**vars(Position()), "step": "1"},
        {**vars(Position()), "step": True},
        {**vars(Position()), "epoch": 1.5},
        {**vars(Position()), "history": {}},
        {**vars(Position()), "seconds": None},
    ],
)
def test_a_position_that_is_none_is_told(content):
    with pytest.raises(CheckpointError, match="how far"):
        read_position(content, Store(Path("here"), "owner"))


def test_metrics_that_are_infinite_come_back(tmp_path):
    store = Store(tmp_path / "run", "owner")
    checkpoint.save(store, STATE, {"sums": {"a": float("inf")}})
    assert checkpoint.restore(store, STATE)[1] == {"sums": {"a": float("inf")}}


def kill_in(monkeypatch, module, name, *, after):
    whole = getattr(module, name)

    def cut_off(*arguments, **options):
        if after:
            whole(*arguments, **options)
        raise Killed

    monkeypatch.setattr(module, name, cut_off)


def partial_save(place, state):
    """What Orbax has written when it is killed in the middle."""
    folder = Path(f"{place}.orbax-checkpoint-tmp", "state")
    for name in (
        "ocdbt.process_0/d/" + "a" * 32,
        "ocdbt.process_0/manifest.ocdbt.__lock",
        "_METADATA",
    ):
        plant(folder / name, "half")
    raise Killed


POINTS = {
    "nothing yet": lambda m: kill_in(m, snapshots, "begin", after=False),
    "an empty folder": lambda m: kill_in(m, snapshots.files, "replace", after=False),
    "a note": lambda m: kill_in(m, snapshots, "begin", after=True),
    "before the arrays": lambda m: kill_in(m, ocp, "save", after=False),
    "half of the arrays": lambda m: m.setattr(ocp, "save", partial_save),
    "all arrays": lambda m: kill_in(m, ocp, "save", after=True),
    "before the note": lambda m: kill_in(m, snapshots, "publish", after=False),
    "all but the renaming": lambda m: kill_in(m, snapshots.Path, "rename", after=False),
    "the renaming": lambda m: kill_in(m, snapshots.Path, "rename", after=True),
    "before the old ones go": lambda m: kill_in(m, snapshots, "forget", after=False),
    "half of an old one": lambda m: m.setattr(snapshots, "forget", half_forgotten),
    "the folders of an old one": lambda m: m.setattr(files.os, "rmdir", no_rmdir),
}


def half_forgotten(snapshot):
    names = list(snapshots.note(snapshot).files)
    files.remove_listed(snapshot, names[: len(names) // 2])
    raise Killed


def no_rmdir(folder):
    raise Killed


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("owner", ["owner", None])
def test_whatever_a_killed_save_leaves_is_ours_and_goes(store, monkeypatch, point, owner):
    store = store._replace(owner=owner)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        POINTS[point](patch)
        checkpoint.save(store, jax.tree.map(lambda a: a + 1, STATE), {"n": 2})
    back, position = checkpoint.restore(store, STATE)
    chex.assert_trees_all_equal(back, jax.tree.map(lambda a: a + position["n"] - 1, STATE))
    checkpoint.save(store, STATE, {"n": 9})
    names = sorted(path.name for path in store.directory.iterdir())
    assert len(names) == 2 and all(len(name) == 8 for name in names)
    assert checkpoint.restore(store, STATE)[1] == {"n": 9}


def test_a_file_put_into_what_a_killed_save_left_stays(store, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        POINTS["half of the arrays"](patch)
        checkpoint.save(store, STATE, {"n": 2})
    (folder,) = store.directory.glob(".*.saving")
    plant(folder / "00000002.orbax-checkpoint-tmp" / "mine.txt")
    for n in (2, 3):
        checkpoint.save(store, STATE, {"n": n})
        assert files.tree(folder) == [
            "00000002.orbax-checkpoint-tmp/mine.txt",
            "junlearn.json",
        ]


def test_every_file_that_orbax_writes_is_known_by_its_name(saved):
    assert all(snapshots._written(name) for name in files.tree(saved))
