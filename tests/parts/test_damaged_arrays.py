"""Caches of datasets and files of class statistics that were damaged, edited or swapped."""

import json
import logging
import shutil
import zipfile

import numpy as np
import pytest

from junlearn import files
from junlearn.datasets.cache import (
    Cached,
    cached,
    dataset_cache_dir,
    digests,
    load_cache,
    load_orphan,
)
from junlearn.errors import DataError
from junlearn.parts import class_statistics
from junlearn.parts.class_statistics import Moments, TukeyPower
from junlearn.types import Data


def decoded(seed=0, name="toy", identity="abc"):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 255, (12, 4, 4, 1)).astype(np.uint8)
    y = rng.integers(0, 3, 12).astype(np.int32)
    sources = {"train": Data(x, y), "test": Data(x[:5] + 1, y[:5])}
    return Cached(name, "1.0", identity, "/data/toy", sources, digests(sources), ("a", "b", "c"))


@pytest.fixture
def place(tmp_path):
    """A cache directory with two datasets."""
    for name, seed in (("toy", 0), ("other", 1)):
        ask(tmp_path, lambda: decoded(seed, name), name=name)  # noqa: B023
    return tmp_path


def ask(place, decode, name="toy", identity="abc"):
    return cached(decode, name=name, version="1.0", identity=identity, cache_dir=place)


def rewrite(path, change, meta=None):
    """The same archive with other members, its zip checksums in order."""
    with np.load(path) as archive:
        arrays = dict(archive)
    change(arrays)
    if meta is not None:
        content = json.loads(arrays["meta"].tobytes())
        arrays["meta"] = np.frombuffer(meta(content).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def arrays(change):
    return lambda path: rewrite(path, change)


def meta(change, sealed=False):
    def text(content):
        change(content)
        if sealed:
            del content["checksum"]
            return files.seal(content, "dataset cache")
        return json.dumps(content)

    return lambda path: rewrite(path, lambda _: None, text)


def other_pixels(a):
    a["train/x"] = a["train/x"] ^ 1


def one_pixel(a):
    a["train/x"][3, 2, 1, 0] ^= 1


def other_labels(a):
    a["train/y"] = a["train/y"][::-1].copy()


def a_row_less(a):
    a["train/x"], a["train/y"] = a["train/x"][:-1], a["train/y"][:-1]


def a_label_less(a):
    a["train/y"] = a["train/y"][:-1]


def other_type(a):
    a["train/y"] = a["train/y"].astype(np.int64)


def other_shape(a):
    a["train/x"] = a["train/x"].reshape(12, 2, 8, 1)


def swapped_parts(a):
    a["train/x"], a["test/x"] = a["test/x"], a["train/x"]


def with_digests(content):
    """What somebody writes who computes the digests anew, but not the checksum."""
    content["digests"]["train/x"] = "0" * 32


def plain_array(path):
    with path.open("wb") as file:
        np.save(file, np.arange(3))


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 64
    path.write_bytes(content)


ARCHIVES = {
    "other pixels": arrays(other_pixels),
    "one pixel": arrays(one_pixel),
    "other labels": arrays(other_labels),
    "a row less": arrays(a_row_less),
    "a label less": arrays(a_label_less),
    "other type": arrays(other_type),
    "other shape": arrays(other_shape),
    "train and test swapped": arrays(swapped_parts),
    "no train": arrays(lambda a: a.pop("train/x")),
    "no meta": arrays(lambda a: a.pop("meta")),
    "meta of numbers": arrays(lambda a: a.update(meta=np.arange(5))),
    "meta of nothing": arrays(lambda a: a.update(meta=np.array([]))),
    "meta deep": arrays(lambda a: a.update(meta=np.frombuffer(b"[" * 10**5, np.uint8))),
    "meta a list": arrays(lambda a: a.update(meta=np.frombuffer(b"[]", np.uint8))),
    "an array of objects": arrays(lambda a: a.update({"train/y": np.array([{}] * 12)})),
    "other digests": meta(with_digests),
    "other classes": meta(lambda c: c.update(classes=["c", "b", "a"])),
    "other source": meta(lambda c: c.update(source="/data/else")),
    "no digests": meta(lambda c: c.update(digests={}), sealed=True),
    "digests a list": meta(lambda c: c.update(digests=[]), sealed=True),
    "a member without a slash": meta(lambda c: c["digests"].update(meta="0"), sealed=True),
    "no classes": meta(lambda c: c.pop("classes"), sealed=True),
    "another dataset's file": lambda p: shutil.copy(p.parent / "other-1.0-abc.npz", p),
    "empty": lambda p: p.write_bytes(b""),
    "half": lambda p: p.write_bytes(p.read_bytes()[:900]),
    "zeros": lambda p: p.write_bytes(bytes(4000)),
    "text": lambda p: p.write_text("hello"),
    "a zip of something else": lambda p: zipfile.ZipFile(p, "w").close(),
    "a pickle": lambda p: p.write_bytes(b"\x80\x04K\x01."),
    "a plain array": plain_array,
    "a byte of the first array": lambda p: flip(p, 1500),
    "a byte of the last array": lambda p: flip(p, -900),
    "a byte of the directory": lambda p: flip(p, -30),
    "something behind": lambda p: p.write_bytes(b"x" * 70_000 + p.read_bytes()[100:]),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_cache_that_was_changed_is_said_kept_beside_and_decoded_again(place, caplog, kind):
    path = dataset_cache_dir(place) / "toy-1.0-abc.npz"
    ARCHIVES[kind](path)
    damaged = path.read_bytes()
    calls = []
    with caplog.at_level(logging.WARNING, logger="junlearn"):
        found = ask(place, lambda: calls.append(1) or decoded())
    assert calls == [1] and found.digests == decoded().digests
    (line,) = caplog.messages
    assert f"the cache {path} cannot be read" in line and "toy-1.0-abc.npz.damaged" in line
    assert "\n" not in line
    assert path.with_name(f"{path.name}.damaged").read_bytes() == damaged
    again = ask(place, None)
    np.testing.assert_array_equal(again.sources["train"].x, decoded().sources["train"].x)
    assert len(caplog.messages) == 1


def test_a_cache_of_an_earlier_version_is_replaced_without_a_word(place, caplog):
    path = dataset_cache_dir(place) / "toy-1.0-abc.npz"
    meta(lambda content: [content.pop("checksum"), content.update(format=1)])(path)
    with pytest.raises(DataError, match="written in format 1, not 2"):
        load_cache(path)
    ask(place, decoded)
    assert not caplog.messages and len(list(path.parent.iterdir())) == 2
    load_cache(path)


def test_a_cache_of_another_name_serves_no_source_that_is_gone(place):
    folder = dataset_cache_dir(place)
    shutil.copy(folder / "toy-1.0-abc.npz", folder / "other-1.0-def.npz")
    assert load_orphan("other", "/data/toy", place).name == "other"
    (folder / "other-1.0-abc.npz").unlink()
    assert load_orphan("other", "/data/toy", place) is None


def test_a_folder_in_the_place_of_a_cache_is_put_aside(place, caplog):
    path = dataset_cache_dir(place) / "toy-1.0-abc.npz"
    path.unlink()
    path.mkdir()
    ask(place, decoded)
    assert load_cache(path).name == "toy" and path.with_name(f"{path.name}.damaged").is_dir()


POWER = TukeyPower(0.5, False)


@pytest.fixture
def statistics(tmp_path):
    rng = np.random.default_rng(0)
    moments = Moments(
        *(rng.uniform(1, 2, shape).astype(np.float32) for shape in ((2,), (2, 3), (2, 3, 3)))
    )
    class_statistics.save(tmp_path / "s.npz", moments, POWER)
    return tmp_path / "s.npz"


STATISTICS = {
    "other means": arrays(lambda a: a.update(mean=a["mean"] + 1)),
    "one number": arrays(lambda a: a["scatter"].__setitem__((0, 0, 0), 5)),
    "other counts": arrays(lambda a: a.update(count=a["count"] + 1)),
    "classes swapped": arrays(lambda a: a.update(mean=a["mean"][::-1])),
    "a class less": arrays(
        lambda a: a.update({name: a[name][:1] for name in ("count", "mean", "scatter")})
    ),
    "another power": arrays(lambda a: a.update(delta=np.float64(0.25))),
    "another sign": arrays(lambda a: a.update(signed=np.bool_(True))),
    "another type": arrays(lambda a: a.update(mean=a["mean"].astype(np.float64))),
    "no seal": arrays(lambda a: a.pop("seal")),
    "another seal": arrays(lambda a: a.update(seal=np.frombuffer(b"{}", np.uint8))),
    "a seal of numbers": arrays(lambda a: a.update(seal=np.arange(3.0))),
    "half": lambda p: p.write_bytes(p.read_bytes()[:700]),
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("hello"),
    "a plain array": plain_array,
    "a dataset's cache": lambda p: p.write_bytes(_archive(p)),
}


def _archive(path):
    ask(path.parent, decoded)
    return (dataset_cache_dir(path.parent) / "toy-1.0-abc.npz").read_bytes()


@pytest.mark.parametrize("kind", STATISTICS)
def test_class_statistics_that_were_changed_are_refused_in_one_line(statistics, kind):
    assert class_statistics.load(statistics)[1] == POWER
    STATISTICS[kind](statistics)
    with pytest.raises(DataError, match=r"s\.npz") as caught:
        class_statistics.load(statistics)
    assert "\n" not in str(caught.value)
