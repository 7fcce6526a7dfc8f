"""What others put in a run's way: directories that name code, links, open caches."""

import json
import os
import stat

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

from junlearn import cli, files
from junlearn.datasets.tfds import find_prepared
from junlearn.datasets.tfds_metadata import PACKAGE
from junlearn.engine.compilations import SealedPath
from junlearn.errors import DataError
from junlearn.experiment import locks
from junlearn.reports import style, tables
from junlearn.text import terminal

# ----------------------------------------------------------------------------------------------------------------------
# Prepared directories


def feature(name, **content):
    return {"pythonClassName": PACKAGE + name, **content}


GOOD = feature(
    "features_dict.FeaturesDict",
    featuresDict={
        "features": {
            "image": feature("image_feature.Image", image={"dtype": "uint8"}),
            "label": feature("class_label_feature.ClassLabel", classLabel={"numClasses": "2"}),
            "type": feature("text_feature.Text", text={}),
        }
    },
)


def prepared(directory, features=GOOD, **info):
    directory.mkdir()
    split = {"name": "train", "shardLengths": ["2"]} | info.pop("split", {})
    table = {"name": "toy", "version": "1.0.0", "splits": [split], "fileFormat": "array_record"}
    (directory / "dataset_info.json").write_text(json.dumps(table | info))
    (directory / "features.json").write_text(json.dumps(features))
    return directory


def within(value):
    """A good set of features with one more."""
    inner = {"features": {**GOOD["featuresDict"]["features"], "more": value}}
    return {**GOOD, "featuresDict": inner}


EVIL = {"pythonClassName": "planted.Evil", "text": {}}
OLD = {"type": "planted.Evil", "content": {}}


def test_known_features_are_taken(tmp_path):
    found = find_prepared(prepared(tmp_path / "d"))
    assert [path.name for path in found.splits["train"]] == [
        "toy-train.array_record-00000-of-00001"
    ]


@pytest.mark.parametrize(
    "features",
    [
        EVIL,
        OLD,
        {"python_class_name": "planted.Evil", "text": {}},
        within(EVIL),
        within(OLD),
        within({"pythonClassName": "os.path", "text": {}}),
        within({"pythonClassName": "tensorflow_datasets.testing.Evil", "text": {}}),
        within({"pythonClassName": PACKAGE + "test_feature.CustomFeatureConnector"}),
        within({"pythonClassName": ["planted.Evil"]}),
        within(feature("sequence_feature.Sequence", sequence={"feature": EVIL})),
        within(feature("features_dict.FeaturesDict", jsonFeature={"json": json.dumps({"a": OLD})})),
        within(feature("features_dict.FeaturesDict", json_feature={"json": json.dumps(EVIL)})),
        {"type": PACKAGE + "features_dict.FeaturesDict", "content": {"a": OLD}},
        {"type": PACKAGE + "sequence_feature.Sequence", "content": json.dumps({"feature": OLD})},
        {**GOOD, "featuresDict": {"features": {"../../label": feature("text_feature.Text")}}},
        {**GOOD, "featuresDict": {"features": {"/etc/label": feature("text_feature.Text")}}},
        [EVIL],
    ],
)
def test_a_prepared_directory_names_no_code_and_no_path(tmp_path, monkeypatch, features):
    (tmp_path / "planted.py").write_text("raise SystemExit('code of the directory was run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"features\.json"):
        find_prepared(prepared(tmp_path / "d", features))


@pytest.mark.parametrize(
    "info",
    [
        {"name": "../toy"},
        {"name": "/etc/toy"},
        {"split": {"name": "../../train"}},
        {"split": {"name": "a\0b"}},
        {"split": {"filepathTemplate": "../{DATASET}-{SHARD_INDEX}"}},
        {"split": {"filepathTemplate": "/etc/passwd"}},
        {"split": {"filepathTemplate": "{DATASET.__class__}"}},
        {"split": {"filepathTemplate": "{DATASET:>1000000000}"}},
        {"split": {"filepathTemplate": "{DATASET!r}"}},
        {"split": {"filepathTemplate": ".."}},
    ],
)
def test_shards_lie_in_the_directory_itself(tmp_path, info):
    with pytest.raises(DataError, match=r"dataset_info\.json"):
        find_prepared(prepared(tmp_path / "d", **info))


@pytest.mark.parametrize("name", ["features.json", "toy-train.array_record-00000-of-00001"])
def test_a_pipe_in_a_prepared_directory_is_not_waited_for(tmp_path, name):
    directory = prepared(tmp_path / "d")
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(directory / name)
    with pytest.raises(DataError, match=f"{name} is no regular file"):
        find_prepared(directory)


# ----------------------------------------------------------------------------------------------------------------------
# Links, pipes and devices in the place of files


def take_lock(path):
    with locks.exclusive(path.parent):
        pass


WRITERS = {
    ".lock": take_lock,
    "records.jsonl": lambda path: files.append_line(path, "{}"),
    "config.json": lambda path: files.replace(path, "{}"),
    "gaps.png": lambda path: style.save(Figure(), path),
    "runs.csv": lambda path: tables.write_rows([{"a": 1}], path),
    "runs.parquet": lambda path: tables.write_rows([{"a": 1}], path),
}
REFUSING = (".lock", "records.jsonl")


@pytest.mark.parametrize("name", WRITERS)
def test_a_link_in_a_files_place_leads_nowhere(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / name
    path.symlink_to(victim)
    if name in REFUSING:
        with pytest.raises(OSError, match=name) as caught:
            WRITERS[name](path)
        assert "link" in terminal.fault(caught.value)
    else:
        WRITERS[name](path)
        assert not path.is_symlink()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", WRITERS)
def test_a_link_to_nothing_makes_nothing_elsewhere(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    try:
        WRITERS[name](tmp_path / "run" / name)
    except OSError:
        assert name in REFUSING
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", WRITERS)
def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path, name):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / name
    os.mkfifo(path)
    if name in REFUSING:
        with pytest.raises(OSError):
            WRITERS[name](path)
    else:
        WRITERS[name](path)
        assert path.is_file()


def test_a_workdir_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    with locks.exclusive(tmp_path / "run"):
        assert (tmp_path / "disk" / ".lock").read_text() == str(os.getpid())


def test_what_dead_processes_left_goes_when_the_lock_is_taken(tmp_path):
    gone = 2**22 + 1
    left = tmp_path / f".config.json.{files._host()}-{gone}-0123abcd.tmp"
    other = tmp_path / f".config.json.{'0' * 8}-{gone}-0123abcd.tmp"
    for path in (left, other):
        path.write_text("{")
    take_lock(tmp_path / ".lock")
    assert not left.exists()
    assert other.exists()


# ----------------------------------------------------------------------------------------------------------------------
# Compiled programs


@pytest.fixture
def mine(tmp_path):
    """A directory as safe as the temporary one is."""
    tmp_path.chmod(0o700)
    (tmp_path / "c").mkdir(mode=0o700)
    return tmp_path / "c"


@pytest.mark.parametrize(
    ("mode", "safe"),
    [(0o700, True), (0o755, True), (0o777, False), (0o1777, False), (0o703, False), (0o702, False)],
)
def test_a_directory_that_others_may_write_is_found(mine, mode, safe):
    mine.chmod(mode)
    assert files.writers(mine) == (None if safe else mine)


def test_so_is_one_above_it_unless_it_is_sticky(mine):
    (mine / "b").mkdir(mode=0o700)
    for mode, found in ((0o777, mine), (0o1777, None)):
        mine.chmod(mode)
        assert files.writers(mine / "b") == found
        assert files.writers(mine / "b" / "to" / "be" / "made") == found


def test_so_is_one_behind_a_link(mine, tmp_path):
    (tmp_path / "link").symlink_to(mine)
    mine.chmod(0o777)
    assert files.writers(tmp_path / "link") is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_so_are_directories_and_files_of_others(mine):
    (mine / "program").write_bytes(b"")
    os.chown(mine / "program", 1234, -1)
    assert files.writers(mine) == mine / "program"
    os.chown(mine, 1234, -1)
    assert files.writers(mine) == mine


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_compiled_programs_are_kept_where_nobody_else_writes(
    tmp_path, monkeypatch, caplog, by_name, mode
):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    directory = tmp_path / "compiled"
    if by_name:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(directory))
    if mode == 0o777:
        directory.mkdir()
        directory.chmod(mode)
    try:
        cli.keep_compilations(str(tmp_path / "other" if by_name else tmp_path))
        kept = jax.config.jax_compilation_cache_dir
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    if mode == 0o700:
        own = directory / "junlearn" if by_name else directory
        assert kept == f"junlearn-sealed://{own}" and not own.exists()
        SealedPath(f"{kept}/program-cache").write_bytes(b"program")
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
    else:
        assert kept is None
        assert "chmod go-w" in caplog.text


# ----------------------------------------------------------------------------------------------------------------------
# What holds


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_pickles_run_nothing(tmp_path, suffix):
    import pickle

    from junlearn.datasets.cache import load_cache

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, meta=np.array([Evil()], object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError):
        load_cache(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", ["../../x", "/etc", "..", "a/b", "\x1b[31m", "~", "."])
def test_values_of_a_sweep_name_no_other_directory(tmp_path, value):
    from junlearn.experiment.sweep import Point

    directory = Point({"scenario.path": value}, None, {}).directory(tmp_path)
    assert directory.parent == tmp_path / "points"
    assert directory.name not in ("", ".", "..")
    assert directory.name.isprintable()
