"""The cache of decoded datasets: what is written comes back, or is made anew."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from junlearn.datasets.cache import (
    Cached,
    dataset_cache_dir,
    digests,
    fingerprint,
    load_cache,
    save_cache,
)
from junlearn.errors import DataError
from junlearn.types import Data
from tests.conftest import ROOT
from tests.datasets.made import make, the_cache


def small(seed=0, **fields):
    rng = np.random.default_rng(seed)
    sources = {
        split: Data(
            x=rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8),
            y=np.arange(n, dtype=np.int32),
        )
        for split, n in (("train", 30), ("test", 7))
    }
    content = Cached("toy", "1.0", "abc", "/data/toy", sources, digests(sources), ("a", "b"))
    return content._replace(**fields)


def assert_same(a, b):
    assert set(a.sources) == set(b.sources)
    for split in a.sources:
        for left, right in zip(a.sources[split], b.sources[split], strict=True):
            assert (left is None) == (right is None)
            if left is not None:
                np.testing.assert_array_equal(left, right)
                assert left.dtype == right.dtype
    assert a._replace(sources={}) == b._replace(sources={})


def test_a_cache_comes_back_as_it_was(tmp_path):
    content = small()
    save_cache(tmp_path / "deep" / "toy.npz", content)
    assert_same(load_cache(tmp_path / "deep" / "toy.npz"), content)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["toy.npz"]


def test_no_single_damaged_byte_goes_unnoticed(tmp_path):
    """Either the file is refused, or what is read is what was written."""
    content = small()
    path = tmp_path / "toy.npz"
    save_cache(path, content)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.choice(len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert_same(load_cache(path), content)
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 200


def test_a_damaged_header_is_refused(tmp_path):
    """numpy alone would read the first 20 of the 30 images, and find nothing wrong."""
    path = tmp_path / "toy.npz"
    save_cache(path, small())
    whole = path.read_bytes()
    assert whole.count(b"(30, 4, 4, 1)") == 1
    path.write_bytes(whole.replace(b"(30, 4, 4, 1)", b"(20, 4, 4, 1)"))
    with pytest.raises(DataError, match="bad checksum"):
        load_cache(path)


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1])
def test_a_truncated_cache_is_refused(tmp_path, length):
    path = tmp_path / "toy.npz"
    save_cache(path, small())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"cannot be read.*: delete it"):
        load_cache(path)


def test_the_fingerprint_tells_arrays_apart():
    original = fingerprint(small().digests)
    assert fingerprint(small().digests) == original
    assert fingerprint(small(seed=1).digests) != original
    sources = dict(small().sources)
    sources["train"] = sources["train"]._replace(y=sources["train"].y.astype(np.int64))
    assert fingerprint(digests(sources)) != original


def test_the_second_load_reads_the_cache(svhn, tmp_path, monkeypatch):
    first = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    monkeypatch.setattr("junlearn.datasets.tfds.decode_prepared", None)
    second = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert second.fingerprint == first.fingerprint == fingerprint(digests(second.sources))
    np.testing.assert_array_equal(second.sources["train"].x, first.sources["train"].x)


def test_a_damaged_cache_is_rebuilt_and_the_log_says_so(svhn, tmp_path, caplog):
    first = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    path = the_cache(tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-1000])
    with caplog.at_level(logging.WARNING, logger="junlearn"):
        second = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert f"the cache {path} cannot be read" in caplog.text
    assert "rebuilding it" in caplog.text
    assert second.fingerprint == first.fingerprint
    load_cache(path)


def test_a_source_that_changed_gets_another_cache(svhn, tmp_path):
    make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    info = svhn / "svhn_cropped" / "3.1.0" / "dataset_info.json"
    info.write_text(info.read_text() + "\n")
    make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert len(list((tmp_path / "cache" / "datasets").iterdir())) == 2


def test_the_cache_outlives_its_source_but_serves_no_other(svhn, tmp_path):
    first = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    svhn.rename(tmp_path / "moved")
    second = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert second.fingerprint == first.fingerprint
    with pytest.raises(DataError, match="nothing prepared"):
        make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(tmp_path / "other"))
    path = the_cache(tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError) as error:
        make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert f"the cache {path} cannot be read" in str(error.value)
    assert "delete it" in str(error.value)


def test_a_cache_that_cannot_be_written_does_no_harm(svhn, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING, logger="junlearn"):
        dataset = make("svhn_cropped", cache_dir=tmp_path / "cache", data_dir=str(svhn))
    assert len(dataset.sources["train"].y) == 40
    assert "cannot write the cache" in caplog.text


def test_concurrent_writers_leave_one_whole_cache(tmp_path):
    path = tmp_path / "toy.npz"
    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(save_cache, path, small()) for _ in range(40)]:
            job.result()
    assert_same(load_cache(path), small())
    assert list(tmp_path.iterdir()) == [path]


def run_python(code, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


LOAD_SVHN = """
import sys
blocked = sys.argv[3] == "blocked"
if blocked:
    sys.modules["tensorflow_datasets"] = None
from junlearn.datasets import DATASETS
svhn = DATASETS["svhn_cropped"]
if not blocked:
    # Both look for the cache at once: whoever came late would find it and have nothing to decode.
    import os, pathlib, time
    started = pathlib.Path(sys.argv[2] + "-started")
    started.mkdir(exist_ok=True)
    (started / str(os.getpid())).touch()
    while len(list(started.iterdir())) < 2:
        time.sleep(0.005)
print(svhn.make(svhn.Config(data_dir=sys.argv[1]), cache_dir=sys.argv[2]).fingerprint)
assert "tensorflow" not in sys.modules
assert blocked or "tensorflow_datasets" in sys.modules
"""


def test_two_processes_build_one_cache_without_tensorflow(svhn, tmp_path):
    builders = [run_python(LOAD_SVHN, svhn, tmp_path / "cache", "decode") for _ in range(2)]
    fingerprints = {builder.communicate(timeout=120)[0].strip() for builder in builders}
    assert [builder.returncode for builder in builders] == [0, 0]
    assert len(fingerprints) == 1
    load_cache(the_cache(tmp_path / "cache"))
    reader = run_python(LOAD_SVHN, svhn, tmp_path / "cache", "blocked")
    assert reader.communicate(timeout=120)[0].strip() in fingerprints
    assert reader.returncode == 0


def test_the_cache_directory_is_resolved_in_order(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JUNLEARN_CACHE_DIR", raising=False)
    assert dataset_cache_dir() == tmp_path / ".cache" / "junlearn" / "datasets"
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "env"))
    assert dataset_cache_dir() == tmp_path / "env" / "datasets"
    assert dataset_cache_dir(tmp_path / "given") == tmp_path / "given" / "datasets"
