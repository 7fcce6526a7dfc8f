"""`cache list` and `cache purge`: what is said of the cache, and that nothing goes but what is ours and meant."""

import fcntl
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from junlearn import cli, files
from junlearn.datasets.cache import Cached, dataset_cache_dir, digests, fingerprint, save_cache
from junlearn.engine import checkpoint, compilations
from junlearn.engine.checkpoint import Store
from junlearn.experiment import identity, preparing, schema, stored
from junlearn.experiment.progress import Reporter
from junlearn.main import main
from junlearn.types import Data

STATE = {"a": jnp.arange(3.0)}


def arrays(seed):
    rng = np.random.default_rng(seed)
    return {"train": Data(rng.integers(0, 9, (5, 2, 2, 1)).astype(np.uint8), np.arange(5))}


MARKS = {name: fingerprint(digests(arrays(seed))) for seed, name in enumerate(("faces", "cats"))}


def network(place, name, **made):
    directory = place / "models" / name
    checkpoint.save(Store(directory, name), STATE, {})
    (directory / "made.json").write_text(files.seal({"versions": {}, "device": "cpu", **made}))
    (directory / ".lock").write_text("1")
    return directory


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("cache")
    for seed, name in enumerate(MARKS):
        sources = arrays(seed)
        content = Cached(name, "1.0", f"{seed:016x}", "/data", sources, digests(sources))
        save_cache(dataset_cache_dir(place) / f"{name}-1.0-{seed:016x}.npz", content)
        for role, letter in (("original", "a"), ("retrain", "b")):
            made = {"dataset": name, "fingerprint": MARKS[name], "role": role}
            network(place, f"{letter}{seed}" * 8, **made)
    network(place, "c0" * 8)
    compilations.SealedPath(f"{compilations.SCHEME}//{place}/compiled").mkdir(parents=True)
    compilations.SealedPath(f"{compilations.SCHEME}//{place}/compiled/p-cache").write_bytes(b"x")
    return place


@pytest.fixture
def place(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "cache")


def call(capsys, *arguments):
    status = main(["cache", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def there(place):
    """What the cache holds, in short."""
    return {f"{e.kind} {e.path.name[:5]}" for e in stored.entries(place)}


ALL = {
    "dataset faces",
    "dataset cats-",
    *(f"network {name}" for name in ("a0a0a", "b0b0b", "a1a1a", "b1b1b", "c0c0c")),
    "compiled compi",
}
FACES = {"dataset faces", "network a0a0a", "network b0b0b"}


def test_the_list_names_everything_and_changes_nothing(place, capsys):
    before = files.tree(place)
    status, out, _ = call(capsys, "list", "--cache-dir", str(place))
    assert status == 0 and out.count("\n") == len(ALL) + 1
    assert f"network faces original, {(size(place / 'models' / ('a0' * 8)))}" in out
    _, out, _ = call(capsys, "list", "--json", "--cache-dir", str(place))
    rows = json.loads(out)
    assert len(rows) == len(ALL) and {row["kind"] for row in rows} == {
        "dataset",
        "network",
        "compiled",
    }
    assert [r["fingerprint"] for r in rows if r["dataset"] == "cats"] == [MARKS["cats"]] * 3
    assert all(row["bytes"] > 0 for row in rows)
    assert files.tree(place) == before and there(place) == ALL


def size(directory):
    count = sum((directory / name).stat().st_size for name in files.tree(directory))
    return f"{count:,} bytes"


def test_an_empty_cache(tmp_path, capsys):
    assert call(capsys, "list", "--cache-dir", str(tmp_path / "no"))[:2] == (
        0,
        "0 entries, 0 bytes\n",
    )
    status, out, _ = call(capsys, "purge", "--all", "--cache-dir", str(tmp_path / "no"))
    assert (status, out) == (0, "nothing to remove\n") and not (tmp_path / "no").exists()


def test_a_dataset_goes_with_the_networks_of_it(place, capsys):
    (place / "datasets" / f"faces-1.0-{0:016x}.npz.damaged").write_bytes(b"half")
    dry = call(capsys, "purge", "--dataset", "faces", "--dry-run", "--cache-dir", str(place))
    assert dry[1].count("would remove") == 4 and there(place) == ALL
    status, out, _ = call(capsys, "purge", "--dataset", "faces", "--cache-dir", str(place))
    assert status == 0 and out.count("removed: ") == 4
    assert "1 networks do not say what they learned from" in out
    assert there(place) == ALL - FACES
    assert not list((place / "datasets").glob("faces*"))
    assert not (place / "models" / ("a0" * 8)).exists()


def test_all_of_it(place, capsys):
    assert call(capsys, "purge", "--all", "--cache-dir", str(place))[0] == 0
    assert files.tree(place) == []


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("models/a0a0a0a0a0a0a0a0/photos/a.jpg", "photos"),
        ("models/a0a0a0a0a0a0a0a0/notes.txt", "notes.txt"),
        ("models/a0a0a0a0a0a0a0a0/00000000/mine.txt", "00000000"),
        ("models/a0a0a0a0a0a0a0a0/00000007/mine.txt", "00000007"),
        ("compiled/mine.txt", "not put there by JAX"),
        ("compiled/mine-cache", "not put there by JAX"),
        ("compiled/mine/a-cache", "not put there by JAX"),
        ("datasets/mine.npz", ""),
        ("datasets/photos/a.jpg", ""),
        ("models/photos/a.jpg", ""),
        ("mine.txt", ""),
    ],
)
def test_what_is_not_ours_stays_and_is_said(place, capsys, where, left):
    path = place / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    _, out, _ = call(capsys, "purge", "--all", "--cache-dir", str(place))
    assert path.read_text() == "mine"
    assert out.count("not removed (") == bool(left) and left in out


def test_links_are_not_followed(place, capsys, tmp_path):
    other = tmp_path / "other"
    (other / "inside").mkdir(parents=True)
    (other / "inside" / "a-cache").write_bytes(compilations.SEAL + b"x" * 40)
    (place / "models" / "abcdef0123456789").symlink_to(other)
    (place / "compiled" / "b-cache").symlink_to(other / "inside" / "a-cache")
    call(capsys, "purge", "--all", "--cache-dir", str(place))
    assert (other / "inside" / "a-cache").exists()


def test_what_a_run_uses_stays_and_is_said(place, capsys):
    with open(place / "models" / ("a0" * 8) / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _, out, _ = call(capsys, "purge", "--dataset", "faces", "--cache-dir", str(place))
    assert "not removed (it is in use by a run): network faces original" in out
    assert there(place) == ALL - FACES | {"network a0a0a"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"dataset": "a", "fingerprint": "b", "role": "c"}', ("a", "b", "c")),
        ('{"versions": {}}', ("", "", "")),
        ('{"dataset": 3, "role": ["x"]}', ("", "", "")),
        ("[]", ("", "", "")),
        ("", ("", "", "")),
        ("[" * 100_000, ("", "", "")),
        ("\0\0", ("", "", "")),
        (None, ("", "", "")),
    ],
)
def test_what_a_network_says_of_itself(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "made.json").write_text(content)
    assert tuple(stored.describe(tmp_path).values()) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "list|purge"),
        (("lst",), "lst"),
        (("purge",), "give one of"),
        (("purge", "--all", "--dataset", "faces"), "give one of"),
        (("purge", "--dataset", "face"), "did you mean 'faces'?"),
        (("purge", "--request", "r.txt"), "needs the --config"),
        (("purge", "--all", "--dry"), "unknown option '--dry'"),
        (("list", "--all"), "unknown option '--all'"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(place, capsys, monkeypatch, arguments, message):
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(place))
    status, out, err = call(capsys, *arguments)
    assert status == 2 and not out and err.count("\n") == 1
    assert err.startswith("junlearn: ") and message in err
    assert there(place) == ALL


def test_names_do_not_reach_the_terminal_as_commands(place, capsys):
    network(place, "d0" * 8, dataset="a\x1b[2Jb", fingerprint="f", role="original")
    _, out, _ = call(capsys, "list", "--cache-dir", str(place))
    assert "\x1b" not in out and "a\\x1b[2Jb" in out


REQUEST = """
methods = ["neggrad"]
[dataset]
name = "digits"
[model]
name = "mlp"
[scenario]
name = "class"
"""


def test_a_request_takes_what_learned_its_rows(place, capsys, tmp_path):
    (tmp_path / "c.toml").write_text(REQUEST)
    (tmp_path / "r.txt").write_text("3\n5\n")
    arguments = ["--config", str(tmp_path / "c.toml"), "--scenario.name", "rows"]
    own, rest = cli.split_arguments([*arguments, "--scenario.file", str(tmp_path / "r.txt")])
    reporter = Reporter(pytest.importorskip("rich.console").Console(quiet=True))
    found = preparing.prepare(cli.experiment(own, rest), str(place), reporter)
    networks = identity.identities(found)
    original, reference = (schema.digest(i) for i in (networks.original, networks.retrain))
    mark = found.dataset.fingerprint
    paths = [network(place, original), network(place, reference, fingerprint=mark, role="retrain")]
    paths.append(network(place, "e0" * 8, fingerprint=mark, role="original", dataset="digits"))
    told = stored.copies([mark], [paths[0]], str(place))
    assert sorted(told) == sorted(f"the original network {p}" for p in (paths[0], paths[2]))
    assert stored.copies([MARKS["cats"]], [], str(place))[0].startswith("the decoded images")
    command = ["purge", "--request", str(tmp_path / "r.txt"), "--config", str(tmp_path / "c.toml")]
    status, out, _ = call(capsys, *command, "--cache-dir", str(place))
    assert status == 0 and out.count("removed: ") == 2
    assert [path.exists() for path in paths] == [False, True, False]
    assert stored.copies([mark], [paths[0]], str(place)) == []


@pytest.mark.parametrize(
    ("kind", "marks", "expected"),
    [
        ("dataset", ["f0"], True),
        ("dataset", ["e0", "f0-train-20-held-out-0.1-0"], True),
        ("dataset", ["f01"], False),
        ("network", ["f0"], True),
        ("network", ["f0-train-20"], False),
    ],
)
def test_decoded_images_are_those_of_every_part(tmp_path, kind, marks, expected):
    entry = stored.Entry(kind, tmp_path, 0, 0.0, "faces", "f0")
    assert stored.is_of(entry, marks) == expected
    assert not stored.is_of(entry._replace(fingerprint=""), ["", "-train-20"])
